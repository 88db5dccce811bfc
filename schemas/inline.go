package schemas

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

// checkInline walks what a schema has accepted and compares each inline document with the size and SHA-256 it tells.
// Since the schemas allow no other properties, whatever has a content and a sha256 is a document, and the pointers, which
// begin below the tree, are made of names that the schemas know.
func checkInline(tree any) []Violation {
	var found []Violation
	switch tree := tree.(type) {
	case []any:
		for i, value := range tree {
			found = append(found, below(strconv.Itoa(i), checkInline(value))...)
		}
	case map[string]any:
		content, inline := tree["content"].(string)
		sum, document := tree["sha256"].(string)
		if inline && document {
			return checkContent(content, tree["size"], sum)
		}
		for name, value := range tree {
			found = append(found, below(name, checkInline(value))...)
		}
	}
	return found
}

// below gives violations that were found below a name or a number as they are seen from above it.
func below(token string, found []Violation) []Violation {
	for i, v := range found {
		found[i].Pointer = pointer([]string{token}) + v.Pointer
	}
	return found
}

func checkContent(content string, size any, sum string) []Violation {
	decoded, err := base64.StdEncoding.Strict().DecodeString(content)
	if err != nil {
		return []Violation{{"/content", "format"}}
	}
	var found []Violation
	if size != int64(len(decoded)) {
		found = append(found, Violation{"/size", keywordSize})
	}
	if got := sha256.Sum256(decoded); hex.EncodeToString(got[:]) != sum {
		found = append(found, Violation{"/sha256", keywordSHA256})
	}
	return found
}
