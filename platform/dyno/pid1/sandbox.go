package pid1

// Sandbox is what a dyno is to see of the machine's files, in the mount
// namespace that its first process has been started in: everything, to read,
// but a /proc and a /dev of its own, and what Mounts changes.
type Sandbox struct {
	Root   string  // folder that is not needed inside, to put it together in
	Mounts []Mount // in this order
}

// Mount shows a file or folder at a path, which is made where nothing but the
// sandbox would be changed by that.
type Mount struct {
	From  string // as the machine sees it; empty to make To an empty file or folder, if it is there
	To    string
	Write bool
}
