package run

// Version of the build, set by the linker.
var Version = "0.0.0-dev"
