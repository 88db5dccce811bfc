package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// Binary gives the event as a Kafka record's value and headers in binary mode: the data as it is, and a header ce_… for
// each attribute. The headers' order is fixed, so the same event gives the same bytes.
func (e Event) Binary() (value []byte, headers []Header) {
	for _, a := range e.attributes() {
		headers = append(headers, Header{headerPrefix + a.name, []byte(a.value)})
	}
	return e.Data, append(headers, Header{headerContentType, []byte(e.contentType())})
}

// Structured gives the event as a Kafka record's value and headers in structured mode: all of it one JSON object, its
// members in a fixed order. Data that is no JSON text is told as data_base64.
func (e Event) Structured() (value []byte, headers []Header) {
	var b bytes.Buffer
	for i, a := range append(e.attributes(), attribute{attrDataContentType, e.contentType()}) {
		b.WriteByte("{,"[min(i, 1)])
		writeMember(&b, a.name, a.value)
	}
	switch {
	case len(e.Data) == 0:
	case checkText(e.Data) == "":
		b.WriteString(`,"` + memberData + `":`)
		b.Write(e.Data)
	default:
		b.WriteByte(',')
		writeMember(&b, memberDataBase64, base64.StdEncoding.EncodeToString(e.Data))
	}
	b.WriteByte('}')
	return b.Bytes(), []Header{{headerContentType, []byte(mediaStructured + "; charset=UTF-8")}}
}

func (e Event) contentType() string {
	if e.DataContentType == "" {
		return mediaJSON
	}
	return e.DataContentType
}

func writeMember(b *bytes.Buffer, name, value string) {
	b.WriteString(quote(name))
	b.WriteByte(':')
	b.WriteString(quote(value))
}

// quote gives a JSON string. Marshalling a string does not fail.
func quote(s string) string {
	quoted, _ := json.Marshal(s)
	return string(quoted)
}
