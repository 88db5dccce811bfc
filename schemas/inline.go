package schemas

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
)

// checkInline walks what a schema has accepted and compares each inline document with the size and SHA-256 it tells.
// Since the schemas allow no other properties, whatever has a content and a sha256 is a document, and at is made of names
// that the schemas know.
func checkInline(at string, tree any) []Violation {
	var found []Violation
	switch tree := tree.(type) {
	case []any:
		for i, value := range tree {
			found = append(found, checkInline(item(at, i), value)...)
		}
	case map[string]any:
		content, inline := tree["content"].(string)
		sum, document := tree["sha256"].(string)
		if inline && document {
			return checkContent(at, content, tree["size"], sum)
		}
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			found = append(found, checkInline(at+pointer([]string{key}), tree[key])...)
		}
	}
	return found
}

func checkContent(at, content string, size any, sum string) []Violation {
	decoded, err := base64.StdEncoding.Strict().DecodeString(content)
	if err != nil {
		return []Violation{{at + "/content", "format"}}
	}
	var found []Violation
	if size != int64(len(decoded)) {
		found = append(found, Violation{at + "/size", keywordSize})
	}
	if got := sha256.Sum256(decoded); hex.EncodeToString(got[:]) != sum {
		found = append(found, Violation{at + "/sha256", keywordSHA256})
	}
	return found
}
