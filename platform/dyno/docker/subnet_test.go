package docker

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHundredsOfAppsHaveNetworksThatHideNothing(t *testing.T) {
	var taken []netip.Prefix
	for _, text := range []string{"172.17.0.0/16", "172.30.4.0/22", "172.31.255.255/32", "10.0.0.0/8"} {
		taken = append(taken, netip.MustParsePrefix(text))
	}
	const others = 5 // /24s of 172.30.0.0/15
	for apps := range subnetCount - others {
		free := subnets("an app", taken)
		if len(free) != subnetCount-others-apps {
			t.Fatalf("after %d apps there is room for %d more", apps, len(free))
		}
		for _, p := range taken {
			if p.Overlaps(free[0]) {
				t.Fatalf("%s overlaps %s", free[0], p)
			}
		}
		taken = append(taken, free[0])
	}
	if free := subnets("an app", taken); len(free) > 0 {
		t.Errorf("%v are free", free)
	}
	if a, b := subnets("one", nil)[0], subnets("another", nil)[0]; a == b {
		t.Errorf("two apps would both have %s first", a)
	}
}

func TestRoutesAreReadFromTheKernelsTable(t *testing.T) {
	// As machines of the usual byte order have it.
	got := parseRoutes(`Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100A8C0	0003	0	0	0	00000000	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	0000A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
broken
`)
	want := []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("192.168.0.0/24")}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
