package route

// block is memory without pointers. Where large blocks lie the garbage
// collector neither looks nor counts, so that a table of a gigabyte does not
// have it wait for another gigabyte of garbage. Who reads in a block keeps it
// alive (runtime.KeepAlive) until done: it goes when nobody has it any more.
type block struct{ bytes []byte }

// largeBlock is worth a mapping of its own.
const largeBlock = 16 << 10
