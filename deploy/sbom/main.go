// Sbom prints what Go programs are made of, as a software bill of materials (CycloneDX 1.6, JSON). It reads the programs alone, in
// which Go notes each module with its version and checksum, so that the list is of what was linked and not of what could have been:
//
//	sbom VERSION PROGRAM… > sbom.cdx.json
//
// The same programs give the same bytes: there is no time and no random number in them.
package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("want a version and the programs' files")
	}
	bom := cyclonedx.NewBOM()
	modules := map[string]cyclonedx.Component{}
	var needed []string
	for _, file := range args[1:] {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if len(info.Deps) == 0 {
			return fmt.Errorf("%s: no module is noted in it", file)
		}
		toolchain := strings.TrimPrefix(info.GoVersion, "go")
		add(modules, component(&debug.Module{Path: "std", Version: toolchain}))
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			add(modules, component(m))
		}
		bom.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
			BOMRef: "pkg:golang/" + info.Main.Path + "@" + args[0], Type: cyclonedx.ComponentTypeApplication,
			Name: info.Main.Path, Version: args[0], PackageURL: "pkg:golang/" + info.Main.Path + "@" + args[0],
		}}
	}
	components := make([]cyclonedx.Component, 0, len(modules))
	for _, ref := range slices.Sorted(maps.Keys(modules)) {
		components, needed = append(components, modules[ref]), append(needed, ref)
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: bom.Metadata.Component.BOMRef, Dependencies: &needed}}
	return cyclonedx.NewBOMEncoder(out, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
}

func add(all map[string]cyclonedx.Component, c cyclonedx.Component) { all[c.BOMRef] = c }

func component(m *debug.Module) cyclonedx.Component {
	url := "pkg:golang/" + m.Path + "@" + m.Version
	c := cyclonedx.Component{
		BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url, Scope: cyclonedx.ScopeRequired,
	}
	// Go's checksum of a module is over the list of its files' checksums, not over an archive.
	if sum, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
		if raw, err := base64.StdEncoding.DecodeString(sum); err == nil {
			c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
		}
	}
	return c
}
