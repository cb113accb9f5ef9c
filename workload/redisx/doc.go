// Package redisx speaks to Redis: the streams that carry task ids, and the shared rate limit.
//
// Redis owns nothing here. Every part has an answer for a Redis that is away, empty or slow, and no caller outside the
// queue ever sees an error of it. All keys of an instance start with "{englog:<instance>}:", so that two instances can
// share a Redis and all keys of one live in one slot of a cluster.
//
// The package must never import a database driver, package store, package ai or anything that speaks HTTP.
package redisx
