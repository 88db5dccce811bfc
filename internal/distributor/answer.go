package distributor

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"distributor-bridge/internal/outcome"
)

// How a success breaks the contract. None of it quotes the answer.
var (
	errNotJSON  = errors.New("the answer is not the JSON that was promised")
	errNoID     = errors.New("the answer has no ID that is a UUID")
	errOtherID  = errors.New("the answer is about another object")
	errNoStatus = errors.New("the answer has no status")
	errTooLarge = errors.New("the answer is too large")
	errPersons  = errors.New("the answer does not list each person")
)

// An answer checks what it was decoded from, and cleans what it keeps. want is the ID that was asked for, empty for a
// call that creates something.
type answer interface {
	check(want string) error
}

// lenient has version 2 of encoding/json take what is odd and can be read, as version 1 does: an answer that cannot be read leaves in
// doubt what has had its effect.
var lenient = json.JoinOptions(
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsonv1.MergeWithLegacySemantics(true),
	json.MatchCaseInsensitiveNames(true), jsonv1.MatchCaseSensitiveDelimiter(true), // else _id would be id
)

func unmarshal(body []byte, a any) error { return json.Unmarshal(body, a, lenient) }

// decode reads a success. A nil answer takes any.
func decode(body []byte, a answer, want string) error {
	if a == nil {
		return nil
	}
	if unmarshal(body, a) != nil {
		return errNotJSON
	}
	return a.check(want)
}

func checkID(id, want string) error {
	if !isUUID(id) {
		return errNoID
	}
	if want != "" && !strings.EqualFold(id, want) {
		return errOtherID
	}
	return nil
}

func (a *Created) check(want string) error { return checkID(a.ID, want) }

// check lets an investment be created without a status: its ID must not be lost for that, and the status is asked for
// again anyway.
func (a *InvestmentStatus) check(want string) error {
	if err := checkID(a.ID, want); err != nil {
		return err
	}
	a.Status = outcome.Clean(a.Status)
	if want != "" && a.Status == "" {
		return errNoStatus
	}
	return nil
}

func (a *Task) check(want string) error {
	if err := checkID(a.ID, want); err != nil {
		return err
	}
	a.Status = normal(a.Status)
	return nil
}

// normal reads a task's status. One that is not known is not final.
func normal(s TaskStatus) TaskStatus {
	switch s := TaskStatus(strings.ToLower(string(s))); s {
	case Succeeded, Failed, Unknown:
		return s
	case "success":
		return Succeeded
	}
	return Processing
}

// investorAnswer is what is read of an investor; the rest of it is personal data.
type investorAnswer struct {
	ID          string    `json:"id"`
	KYCStatus   string    `json:"kyc_status"`
	LegalPerson *struct{} `json:"legal_person"`
	Wallets     []Wallet  `json:"wallets"`
}

func (a *investorAnswer) check(want string) error {
	if err := checkID(a.ID, want); err != nil {
		return err
	}
	a.KYCStatus = outcome.Clean(a.KYCStatus)
	if a.KYCStatus == "" {
		return errNoStatus
	}
	for i := range a.Wallets {
		if err := a.Wallets[i].check(""); err != nil {
			return err
		}
	}
	return nil
}

func (w *Wallet) check(want string) error {
	w.Address = outcome.Clean(w.Address)
	w.Kind = outcome.Clean(w.Kind)
	return checkID(w.ID, want)
}

// personsAnswer is a list with an ID for each of the persons sent. That a person_id is a UUID is not documented.
type personsAnswer struct {
	sent    int
	persons []PersonID
}

func (a *personsAnswer) UnmarshalJSON(b []byte) error { return unmarshal(b, &a.persons) }

func (a *personsAnswer) check(string) error {
	if len(a.persons) != a.sent {
		return errPersons
	}
	for _, p := range a.persons {
		if outcome.Clean(p.PersonID) == "" {
			return errPersons
		}
	}
	return nil
}
