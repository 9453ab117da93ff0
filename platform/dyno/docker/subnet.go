package docker

import (
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"math/bits"
	"net/netip"
	"os"
	"strings"
)

// Networks of apps are the 512 /24s of 172.30.0.0/15. An engine left to itself
// gives each network 65,536 addresses and has none left after thirty; it takes
// its own from the same private block, upwards from 172.17.0.0, so that this
// end of it is the last that anybody else would get.
const (
	subnetCount = 512
	subnetBits  = 24
)

func subnet(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(30 + n>>8), byte(n)}), subnetBits)
}

// subnets lists those that overlap nothing of taken, beginning at a place that
// the app's id says: two platforms that make networks at the same moment
// rarely want the same.
func subnets(app string, taken []netip.Prefix) []netip.Prefix {
	hash := fnv.New32a()
	hash.Write([]byte(app))
	first := int(hash.Sum32() % subnetCount)
	var free []netip.Prefix
next:
	for i := range subnetCount {
		p := subnet((first + i) % subnetCount)
		for _, other := range taken {
			if p.Overlaps(other) {
				continue next
			}
		}
		free = append(free, p)
	}
	return free
}

// routes lists the networks that this machine reaches by a route of their
// own, which a container network in the same place would hide.
func routes() []netip.Prefix {
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil
	}
	return parseRoutes(string(table))
}

// parseRoutes reads Linux's table: numbers in hexadecimal, in the machine's
// byte order, under a line of headings.
func parseRoutes(table string) []netip.Prefix {
	var found []netip.Prefix
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		to, err1 := hex.DecodeString(f[1])
		mask, err2 := hex.DecodeString(f[7])
		if err1 != nil || err2 != nil || len(to) != 4 || len(mask) != 4 {
			continue
		}
		ones := bits.OnesCount32(binary.BigEndian.Uint32(mask))
		if ones == 0 { // the default route leads everywhere, and hides nothing
			continue
		}
		addr := binary.NativeEndian.AppendUint32(nil, binary.BigEndian.Uint32(to))
		found = append(found, netip.PrefixFrom(netip.AddrFrom4([4]byte(addr)), ones))
	}
	return found
}
