package schemas

import (
	"fmt"
	"io"
)

// Types that hold personal data print their name alone, whatever the verb, so that a stray %v tells nothing.
// They keep their JSON, which is the contract.

// Format prints the type's name alone.
func (Person) Format(s fmt.State, _ rune) { redact(s, "person") }

// Format prints the type's name alone.
func (Company) Format(s fmt.State, _ rune) { redact(s, "company") }

// Format prints the type's name alone.
func (BankAccount) Format(s fmt.State, _ rune) { redact(s, "bank account") }

// Format prints the type's name alone.
func (Tax) Format(s fmt.State, _ rune) { redact(s, "tax") }

// Format prints the type's name alone.
func (Contact) Format(s fmt.State, _ rune) { redact(s, "contact") }

// Format prints the type's name alone.
func (Identification) Format(s fmt.State, _ rune) { redact(s, "identification") }

// Format prints the type's name alone.
func (BenefitingPerson) Format(s fmt.State, _ rune) { redact(s, "benefiting person") }

// Format prints the type's name alone: a document's name, content and link may tell who it is about.
func (Document) Format(s fmt.State, _ rune) { redact(s, "document") }

// Format prints the event's type and identity, never its data.
func (e Event) Format(s fmt.State, _ rune) {
	redact(s, fmt.Sprintf("%s %q of %q", e.Type, e.ID, e.Source))
}

func redact(s fmt.State, what string) { _, _ = io.WriteString(s, "["+what+"]") }
