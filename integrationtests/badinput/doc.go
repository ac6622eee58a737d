// Package badinput holds the tests that what people get wrong is told to them, with file and line or object and with what
// to do, that the last good state stays deployed meanwhile, and that nobody else is concerned.
package badinput
