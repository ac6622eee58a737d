//go:build race

package worker

// With the race detector a process that gets no more memory ends in the detector, with words of its own.
func init() { raceDetector = true }
