//go:build !linux

package load

import (
	"errors"
	"net/netip"
)

func addAddresses(string, []netip.Addr) error {
	return errors.New("add-to: only on Linux can addresses be added; add them yourself and leave the flag out")
}
