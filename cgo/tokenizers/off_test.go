// SPDX-License-Identifier: Apache-2.0

package tokenizers_test

import (
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cgo/tokenizers"
)

func TestOpenSaysHowToEnable(t *testing.T) {
	if tokenizers.Enabled {
		t.Skip("the library is linked into this build")
	}
	_, err := tokenizers.Open([]byte("{}"))
	if err == nil || !strings.Contains(err.Error(), "-tags tokenizers") {
		t.Errorf("Open = %v, want an error that names the build tag", err)
	}
}
