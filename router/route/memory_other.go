//go:build unix && !linux

package route

func (*block) preferHugePages() {}
