// SPDX-License-Identifier: Apache-2.0

package hooks

import "fmt"

// SiteError says that a site does not exist, in general or in one model.
type SiteError struct {
	Name   string // the site as it was asked for, resolved where that was possible
	Model  string // empty where no model has been asked yet
	Reason string
}

func (e *SiteError) Error() string {
	if e.Model == "" {
		return fmt.Sprintf("hooks: site %s: %s", e.Name, e.Reason)
	}
	return fmt.Sprintf("hooks: site %s of %s: %s", e.Name, e.Model, e.Reason)
}

// EditError says why an edit cannot be carried out at its site.
type EditError struct {
	Edit string // the edit's name
	Site Site
	Want string
	Got  string
}

func (e *EditError) Error() string {
	return fmt.Sprintf("hooks: edit %s at %s: want %s, found %s", e.Edit, e.Site, e.Want, e.Got)
}
