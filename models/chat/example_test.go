// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"fmt"

	"github.com/trimtab/trimtab/models/chat"
)

func ExampleTemplate_Render() {
	t, err := chat.Parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}", chat.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	prompt, err := t.Render([]chat.Message{{Role: "user", Content: "Hello!"}}, true)
	fmt.Println(prompt, err)
	// Output: <user>Hello!<assistant> <nil>
}
