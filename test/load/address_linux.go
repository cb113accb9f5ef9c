package load

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// addAddresses gives a network device further IPv4 addresses (/32), so that requests can come from several clients'
// addresses. One that is there already is fine.
func addAddresses(device string, addrs []netip.Addr) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("add-to: network device %q: %w", device, err)
	}
	for _, a := range addrs {
		if err := addAddress(uint32(dev.Index), a); err != nil {
			return fmt.Errorf("adding address %s to %s (needs root): %w", a, device, err)
		}
	}
	return nil
}

// addAddress sends one RTM_NEWADDR over netlink and reads the acknowledgement.
func addAddress(index uint32, a netip.Addr) error {
	if !a.Is4() {
		return fmt.Errorf("%s is not an IPv4 address", a)
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := syscall.Sendto(fd, newAddressMessage(index, a), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, buf, 0)
	if err != nil {
		return err
	}
	return acknowledgement(buf[:n])
}

func acknowledgement(b []byte) error {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if m.Header.Type == syscall.NLMSG_ERROR && len(m.Data) >= 4 {
			code := -int32(binary.NativeEndian.Uint32(m.Data))
			if code != 0 && syscall.Errno(code) != syscall.EEXIST {
				return syscall.Errno(code)
			}
		}
	}
	return nil
}

// newAddressMessage lays out nlmsghdr, ifaddrmsg and the attributes IFA_LOCAL and IFA_ADDRESS (linux/rtnetlink.h).
func newAddressMessage(index uint32, a netip.Addr) []byte {
	const length = syscall.SizeofNlMsghdr + syscall.SizeofIfAddrmsg + 2*(syscall.SizeofRtAttr+4)
	ne := binary.NativeEndian
	b := make([]byte, 0, length)
	b = ne.AppendUint32(b, length)
	b = ne.AppendUint16(b, syscall.RTM_NEWADDR)
	b = ne.AppendUint16(b, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK|syscall.NLM_F_CREATE|syscall.NLM_F_EXCL)
	b = ne.AppendUint32(b, 1) // sequence
	b = ne.AppendUint32(b, 0) // port: the kernel's
	b = append(b, syscall.AF_INET, 32, 0, syscall.RT_SCOPE_UNIVERSE)
	b = ne.AppendUint32(b, index)
	ip := a.As4()
	for _, attribute := range []uint16{syscall.IFA_LOCAL, syscall.IFA_ADDRESS} {
		b = ne.AppendUint16(b, syscall.SizeofRtAttr+4)
		b = ne.AppendUint16(b, attribute)
		b = append(b, ip[:]...)
	}
	return b
}
