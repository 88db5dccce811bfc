// Package schemas is the contract between the bridge and everyone around it: which events upstream emits, which results
// the bridge publishes, and how both travel over Kafka as CloudEvents 1.0.
//
// It owns the JSON Schemas (2020-12, one file a type, with examples beside them), the Go types of their data, the
// description of topics and messages (asyncapi.yaml), and the binding of CloudEvents to Kafka records in binary and
// structured mode. It knows nothing of the API, of Kafka's protocol, or of what is done with an event.
//
// What it guarantees:
//
//   - An event that Validate accepts decodes into the type of its name without loss: no unknown or repeated property, no
//     number outside 1 to 2^53 where units are counted, no text that is not UTF-8, no inline document whose size or
//     SHA-256 is another than the one told.
//   - An error names where and which rule, a JSON Pointer and a keyword, and never a value. Pointers go into the event as
//     it looks in structured mode: /id, /data/bank_account/iban. The name of a property that no schema knows is a value too.
//   - A result built twice from the same input has the same bytes.
//
// Types of personal data print as their name alone, so that no log tells what they hold.
package schemas

import (
	"embed"
	"io/fs"
)

//go:embed *.schema.json asyncapi.yaml examples
var files embed.FS

// Files gives the contract as files: the schemas, NAME.schema.json for an event or a command and result.NAME.schema.json for a result;
// asyncapi.yaml; and below examples/, by the schema's name, events and results in structured mode. The examples called
// invalid-… have a file of the same name ending in .want beside them: the violations that they must be answered with,
// a line each.
func Files() fs.FS { return files }
