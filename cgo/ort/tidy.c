// SPDX-License-Identifier: Apache-2.0

// Making a session runs much code and takes much memory that no run needs. Both are given back to the system: freed memory that the allocator keeps, and the
// pages of the library's file, which are mapped again from the system's cache where they are touched.
#if defined(__linux__)
#define _GNU_SOURCE
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"
#include "session.h"

// Pages that were never written are those of the file; what relocation wrote lies in a writable segment.
static void drop(const struct dl_phdr_info* object, const ElfW(Phdr) * segment) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = object->dlpi_addr + segment->p_vaddr, to = from + segment->p_memsz;
  from = (from + page - 1) / page * page;
  to = to / page * page;
  if (from < to) madvise((void*)from, to - from, MADV_DONTNEED);
}

static int look(struct dl_phdr_info* object, size_t size, void* inside) {
  (void)size;
  int found = 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr)* s = &object->dlpi_phdr[i];
    uintptr_t from = object->dlpi_addr + s->p_vaddr;
    found |= s->p_type == PT_LOAD && (uintptr_t)inside >= from && (uintptr_t)inside < from + s->p_memsz;
  }
  for (int i = 0; found && i < object->dlpi_phnum; i++)
    if (object->dlpi_phdr[i].p_type == PT_LOAD && !(object->dlpi_phdr[i].p_flags & PF_W)) drop(object, &object->dlpi_phdr[i]);
  return found;
}

void tt_tidy(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
  dl_iterate_phdr(look, (void*)tt_api);
}
#else
#include "session.h"
void tt_tidy(void) {}
#endif
