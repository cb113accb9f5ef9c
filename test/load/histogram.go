package load

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts durations in log-linear buckets: 64 to each power of two of microseconds, so a quantile is right
// within 1.6 %.
type histogram struct {
	buckets [64 * 27]uint64
	count   uint64
	max     time.Duration
}

func bucketOf(us uint64) int {
	if us < 64 {
		return int(us)
	}
	shift := bits.Len64(us) - 7
	return min(64*(shift+1)+int(us>>shift)-64, 64*27-1)
}

// bucketTop is the largest value, in microseconds, that falls into bucket i.
func bucketTop(i int) uint64 {
	if i < 64 {
		return uint64(i)
	}
	shift := i/64 - 1
	return (uint64(i%64+64)+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0)/time.Microsecond))]++
	h.count++
	h.max = max(h.max, d)
}

// quantile returns the value below which a fraction q of all samples lies; 0 without samples.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.count)))
	var seen uint64
	for i, n := range &h.buckets {
		if seen += n; n > 0 && seen >= rank {
			return min(time.Duration(bucketTop(i))*time.Microsecond, h.max)
		}
	}
	return 0
}

// Latency is in milliseconds, from the moment a request was due to the last byte of its answer, of answers only.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (h *histogram) latency() Latency {
	return Latency{P50: ms(h.quantile(.5)), P99: ms(h.quantile(.99)), P999: ms(h.quantile(.999)), Max: ms(h.max)}
}

func ms(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Millisecond)*100) / 100 }
