// Package deploy_test checks, offline, everything that deploy/ holds: by the libraries of the tools that read it.
package deploy_test
