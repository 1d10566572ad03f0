// SPDX-License-Identifier: Apache-2.0

package ort_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// header returns the text of onnxruntime_c_api.h as the onnxruntime_go module carries it.
func header(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil || strings.TrimSpace(string(dir)) == "" {
		t.Skipf("the module that carries the header is absent: %v", err)
	}
	return read(t, filepath.Join(strings.TrimSpace(string(dir)), "onnxruntime_c_api.h"))
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var comments = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*|(?m:^[ \t]*#.*$)`)

// body returns what stands between the braces of a struct, without comments and preprocessor lines; "" where there is no such struct.
func body(text, name string) string {
	_, rest, ok := strings.Cut(text, "struct "+name+" {")
	inner, _, closed := strings.Cut(rest, "\n};")
	if !ok || !closed {
		return ""
	}
	return comments.ReplaceAllString(inner, "")
}

// Members of the header's structs are function pointers, written out or through one of three macros.
var member = regexp.MustCompile(`ORT_API2_STATUS\(\s*(\w+)|ORT_CLASS_RELEASE\(\s*(\w+)|\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)|ORT_API_T\([^,]+,\s*(\w+)`)

func members(inner string) (names []string) {
	for _, m := range member.FindAllStringSubmatch(inner, -1) {
		if m[2] != "" {
			m[2] = "Release" + m[2]
		}
		names = append(names, m[1]+m[2]+m[3]+m[4])
	}
	return names
}

var slot = regexp.MustCompile(`SLOT_(\w+) = (\d+)`)

// misplaced compares the declarations of api.h with the header and says where they differ.
func misplaced(api, header string) (faults []string) {
	report := func(format string, a ...any) { faults = append(faults, fmt.Sprintf(format, a...)) }
	table := members(body(header, "OrtApi"))
	slots := slot.FindAllStringSubmatch(api, -1)
	if len(table) == 0 || len(slots) == 0 {
		return []string{fmt.Sprintf("found %d functions in the header and %d slots", len(table), len(slots))}
	}
	for _, m := range slots {
		n, err := strconv.Atoi(m[2])
		if at := slices.Index(table, m[1]); at != n || err != nil {
			report("slot of %s is %s, in the header it is %d", m[1], m[2], at)
		}
	}
	want := members(body(header, "OrtCustomOp"))
	var got []string
	for _, m := range regexp.MustCompile(`\(\s*\*\s*(\w+)\s*\)\(`).FindAllStringSubmatch(body(api, "OrtCustomOp"), -1) {
		got = append(got, m[1])
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		report("OrtCustomOp has members %v, in the header %v", got, want)
	}
	return faults
}

func TestSlotsAreThoseOfTheHeader(t *testing.T) {
	api := read(t, "api.h")
	for _, fault := range misplaced(api, header(t)) {
		t.Error(fault)
	}
	// What is called by slot must have a slot in this list, and nothing stands in the list that is not called.
	listed := map[string]bool{}
	for _, m := range slot.FindAllStringSubmatch(api, -1) {
		listed[m[1]] = false
	}
	files, err := filepath.Glob("*.c")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, m := range regexp.MustCompile(`\bFN\((\w+)`).FindAllStringSubmatch(read(t, f), -1) {
			listed[m[1]] = true
		}
	}
	for name, used := range listed {
		if !used {
			t.Errorf("slot %s is not used", name)
		}
	}
}

// TestVersionIsTheLowestThatHasEverySlot reads the versions that the header's comments give.
func TestVersionIsTheLowestThatHasEverySlot(t *testing.T) {
	api, text := read(t, "api.h"), header(t)
	_, text, _ = strings.Cut(text, "struct OrtApi {")
	text, _, _ = strings.Cut(text, "\n};")
	since := regexp.MustCompile(`\\since Version 1\.(\d+)`)
	newest, name := 0, ""
	for _, m := range slot.FindAllStringSubmatch(api, -1) {
		declared := regexp.MustCompile(`(ORT_API2_STATUS\(|ORT_CLASS_RELEASE\(|ORT_API_CALL\s*\*\s*)` + strings.TrimPrefix(m[1], "Release") + `\b`).FindStringIndex(text)
		if declared == nil {
			continue // the other test reports it
		}
		if all := since.FindAllStringSubmatch(text[:declared[0]], -1); len(all) > 0 {
			if v, _ := strconv.Atoi(all[len(all)-1][1]); v > newest {
				newest, name = v, m[1]
			}
		}
	}
	if !strings.Contains(api, fmt.Sprintf("#define TT_API_VERSION %d\n", newest)) {
		t.Errorf("%s came with API version %d, which api.h does not ask for", name, newest)
	}
}

// TestSlotCheckFindsFaults plants faults: a check that passes everything would hold nothing.
func TestSlotCheckFindsFaults(t *testing.T) {
	api, text := read(t, "api.h"), header(t)
	for _, c := range []struct {
		name, old, new string
		inHeader       bool
		want           string
	}{
		{"wrong number", "SLOT_BindInput = 136", "SLOT_BindInput = 137", false, "BindInput is 137"},
		{"no such function", "SLOT_RunWithBinding", "SLOT_RunWithBindings", false, "RunWithBindings"},
		{"no slots", "SLOT_", "PLACE_", false, "0 slots"},
		{"members in another order", "(*GetStartVersion)", "(*GetEndVersion)", false, "OrtCustomOp"},
		{"a member too few", "  void (*KernelDestroy)(void*);\n", "", false, "OrtCustomOp"},
		{"a function put in between", "ORT_API2_STATUS(CreateIoBinding", "ORT_API2_STATUS(Another);\n  ORT_API2_STATUS(CreateIoBinding", true, "CreateIoBinding is 134"},
		{"a release put in between", "ORT_CLASS_RELEASE(Value);", "ORT_CLASS_RELEASE(Other);\n  ORT_CLASS_RELEASE(Value);", true, "ReleaseValue is 96"},
		{"a function in a comment only", "ORT_API2_STATUS(AddInitializer", "// ORT_API2_STATUS(AddInitializer", true, "AddInitializer is 150"},
		{"another table", "struct OrtApi {", "struct OrtApis {", true, "0 functions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			api, text := api, text
			if c.inHeader {
				text = strings.Replace(text, c.old, c.new, 1)
			} else {
				api = strings.ReplaceAll(api, c.old, c.new)
			}
			if got := strings.Join(misplaced(api, text), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("faults: %q, want one with %q", got, c.want)
			}
		})
	}
}
