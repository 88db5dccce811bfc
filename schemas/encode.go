package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Binary gives the event as a Kafka record's value and headers in binary mode: the data as it is, and a header ce_… for
// each attribute. The headers' order is fixed, so the same event gives the same bytes.
func (e Event) Binary() (value []byte, headers []Header) {
	var r Room
	r.Binary(&e)
	return e.Data, r.headers
}

// What an event's headers usually are at most: how many, with those that the inbox has more, and how long all values together.
const (
	usualHeaders = 14
	usualValues  = 240
)

// Structured gives the event as a Kafka record's value and headers in structured mode: all of it one JSON object, its
// members in a fixed order. Data that is no JSON text is told as data_base64.
func (e Event) Structured() (value []byte, headers []Header) {
	var r Room
	e.headers(&r)
	r.Add(attrDataContentType, e.contentType())
	var b bytes.Buffer
	for _, h := range r.headers {
		b.WriteByte("{,"[min(b.Len(), 1)])
		writeMember(&b, strings.TrimPrefix(h.Key, headerPrefix), string(h.Value))
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
	return b.Bytes(), []Header{{headerContentType, []byte(mediaStructuredUTF8)}}
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
