// The list of what a release is made of. A module of its own: the bridge does not need what this needs.
module distributor-bridge/deploy/sbom

go 1.26.8

require github.com/CycloneDX/cyclonedx-go v0.12.0
