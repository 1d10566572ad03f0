// SPDX-License-Identifier: Apache-2.0

// Command trimtab runs language models in process and steers them from within: trimtab help lists its verbs.
package main

import (
	"os"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
