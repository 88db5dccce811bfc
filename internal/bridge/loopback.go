package bridge

import (
	"net"
	"net/netip"
)

// loopback says whether a host, by name or address, is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// remote says whether host:port is on another machine; of an address to listen on, whether others can reach it. What is no
// address is said elsewhere.
func remote(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !loopback(host)
}
