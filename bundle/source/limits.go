package source

import "time"

// What a repository may cost us. A repository beyond a limit is TooLarge; the last good commit stays readable.
const (
	MaxListBytes   = 64 << 20  // a server's list of refs
	MaxPackBytes   = 1 << 30   // one transfer
	MaxObjects     = 5_000_000 // objects in one transfer
	MaxObjectBytes = 128 << 20 // one file, or one listing of a directory
	MaxTotalBytes  = 4 << 30   // the objects of one transfer, unpacked
	MaxFiles       = 200_000   // files in one revision
	MaxDirDepth    = 128       // directories within directories
	MaxLinks       = 40        // symbolic links followed for one path

	// ListTimeout and FetchTimeout bound one listing and one transfer, whoever waits for them.
	ListTimeout  = 30 * time.Second
	FetchTimeout = 10 * time.Minute

	// HistoryDepth is how many commits behind the one asked for are fetched, so that LastChanged can tell who changed
	// what. History that is here already is kept and grows with each fetch.
	HistoryDepth = 100
)

const (
	wholeHistory = 1<<31 - 1 // the depth by which Git means no end

	maxHaves    = 256  // commits we tell a server that we have
	maxFrontier = 4096 // commits walked to find them
	maxGood     = 32   // commits that are kept as starting points of the next fetch
	maxPacks    = 32   // packs in a mirror before the small ones become one
	smallPack   = 8 << 20
	cacheBytes  = 64 << 20 // unpacked objects kept in memory, all mirrors together
)
