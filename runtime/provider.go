// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/cgo/ort"
)

// Provider says what computes: "cpu" or "", "cuda", or "cuda:1" for the second device. "openvino" needs a library built with OpenVINO, and is there for tests
// only, which show by it that nothing depends on the kernels of one provider.
type Provider string

// The providers.
const (
	CPU      Provider = "cpu"
	CUDA     Provider = "cuda"
	OpenVINO Provider = "openvino"
)

// ProviderError says why a provider cannot be used, and what to do about it.
type ProviderError struct {
	Provider Provider
	Library  string // ONNX Runtime's
	Reason   string
	Advice   string
	Err      error // what ONNX Runtime said; nil where it was not asked
}

func (e *ProviderError) Error() string {
	text := fmt.Sprintf("runtime: provider %s: %s: %s", e.Provider, e.Reason, e.Advice)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

// Unwrap returns what ONNX Runtime said.
func (e *ProviderError) Unwrap() error { return e.Err }

// split returns the name and the number of the device.
func (p Provider) split() (name Provider, device int, err error) {
	head, number, numbered := strings.Cut(string(p), ":")
	switch name = Provider(head); {
	case p == "" || p == CPU:
		return CPU, 0, nil
	case name != CUDA && name != OpenVINO || name == OpenVINO && numbered:
		return "", 0, fmt.Errorf("runtime: provider: want cpu, cuda or cuda:N, found %q", string(p))
	case !numbered:
		return name, 0, nil
	}
	if device, err = strconv.Atoi(number); err != nil || device < 0 || device > 255 {
		return "", 0, fmt.Errorf("runtime: provider: want the number of a device behind cuda:, such as cuda:1, found %q", string(p))
	}
	return name, device, nil
}

// Check refuses a name that stands for no provider.
func (p Provider) Check() error {
	_, _, err := p.split()
	return err
}

// options is the provider as ONNX Runtime takes it.
func (p Provider) options() ort.Provider {
	name, device, err := p.split()
	switch {
	case err != nil || name == CPU:
		return ort.Provider{}
	case name == OpenVINO:
		return ort.Provider{Name: "OpenVINO", Settings: map[string]string{"device_type": "CPU"}}
	}
	// Memory grows by what is asked for, and products stay in float32 as the graph says.
	return ort.Provider{Name: "CUDA", Settings: map[string]string{
		"device_id": strconv.Itoa(device), "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0",
	}}
}

// memory names the memory that the provider computes in; "" is the processor's.
func (p Provider) memory() (name string, device int) {
	head, device, err := p.split()
	if err != nil || head != CUDA {
		return "", 0
	}
	return "Cuda", device
}

// builtName is what ONNX Runtime calls the provider in its list.
func (p Provider) builtName() string {
	switch name, _, _ := p.split(); name {
	case CUDA:
		return "CUDAExecutionProvider"
	case OpenVINO:
		return "OpenVINOExecutionProvider"
	}
	return "CPUExecutionProvider"
}

const cudaAdvice = "get a build of ONNX Runtime with CUDA (pip download --no-deps onnxruntime-gpu, unzip it) and name libonnxruntime.so.N of its folder onnxruntime/capi in " +
	LibraryVariable + " or --ort-lib"

// failures are what ONNX Runtime says where a provider cannot start, by parts of its messages: the first line that fits counts.
func (p Provider) failures(library string) []struct{ part, reason, advice string } {
	folder := filepath.Dir(library)
	driver := "install or update NVIDIA's driver; nvidia-smi must list the device"
	ordinal := "choose one that nvidia-smi -L lists, the first as cuda:0"
	return []struct{ part, reason, advice string }{
		{"not enabled in this build", "this ONNX Runtime was built without it", p.getLibrary()},
		{"libonnxruntime_providers_", "the provider's own library is not beside ONNX Runtime's or is of another version", "keep all libonnxruntime*.so of one package in one folder, here " + folder},
		{"libcuda.so", "NVIDIA's driver is not installed", driver},
		{"cannot open shared object", "a library that the provider needs is not found", "install CUDA and cuDNN in the versions that ONNX Runtime's release notes name and put their folders into LD_LIBRARY_PATH"},
		{"undefined symbol", "a library of CUDA or cuDNN is of another version", "install the versions that ONNX Runtime's release notes name"},
		{"Invalid device ID", "there is no device of that number", ordinal},
		{"invalid device ordinal", "there is no device of that number", ordinal},
		{"CUDA failure 100", "no device is found", driver},
		{"CUDA failure 35", "NVIDIA's driver is too old for this CUDA, or missing", driver},
		{"CUDA failure", "CUDA does not work here", driver},
	}
}

func (p Provider) getLibrary() string {
	if name, _, _ := p.split(); name == OpenVINO {
		return "name the library of the package onnxruntime-openvino in " + LibraryVariable + " or --ort-lib"
	}
	return cudaAdvice
}

// explain turns what went wrong while a provider started into what a user can do about it; other errors stay as they are.
func (p Provider) explain(library string, err error) error {
	if err == nil || p.options().Name == "" {
		return err
	}
	text := err.Error()
	for _, f := range p.failures(library) {
		// The name of the provider's library stands in front of whatever the loader says of it: what is not found is the last name.
		if at := strings.Index(text, f.part); at >= 0 && !(f.part == "libonnxruntime_providers_" && !p.ownLibraryMissing(text)) {
			return &ProviderError{p, library, f.reason, f.advice, err}
		}
	}
	return err
}

// ownLibraryMissing tells whether the loader missed the provider's own library, rather than one that it needs.
func (p Provider) ownLibraryMissing(text string) bool {
	for _, after := range []string{": cannot open shared object", ": undefined symbol"} {
		if head, _, ok := strings.Cut(text, after); ok {
			words := strings.Fields(head)
			return strings.Contains(words[len(words)-1], "libonnxruntime_providers_")
		}
	}
	return strings.Contains(text, "libonnxruntime_providers_")
}

// check refuses a provider that the loaded library does not know, before anything is built for it.
func (p Provider) check(library, version string) error {
	built, err := ort.Providers()
	if err != nil {
		return err
	}
	for _, name := range built {
		if name == p.builtName() {
			return nil
		}
	}
	return &ProviderError{
		p, library, fmt.Sprintf("%s, ONNX Runtime %s, was built without it (it has %s)", library, version, strings.Join(built, ", ")), p.getLibrary(), nil,
	}
}

// Providers lists the execution providers that a library of ONNX Runtime was built with, as it names them. They may need drivers that are not there.
func Providers(library string) (version string, names []string, err error) {
	if version, err = ort.Load(library); err != nil {
		return "", nil, err
	}
	names, err = ort.Providers()
	return version, names, err
}
