package englog

// Trend is how a user's days went over a period.
type Trend struct {
	Points []TrendPoint
	// Labels counts the entries of each sentiment label.
	Labels []NamedCount
	// Emotions are means over the entries that have a sentiment, the strongest first.
	Emotions []NamedMean
	// Themes are the ten most frequent ones.
	Themes []TrendTheme
	// Weekdays counts entries from Monday to Sunday, Hours from midnight on.
	Weekdays [7]int64
	Hours    [24]int64
}

// TrendPoint is one day, week or month, named by its first day.
type TrendPoint struct {
	Date    Date  `json:"date"`
	Entries int64 `json:"entries"`
	Words   int64 `json:"words"`
	// Mood is the mean of the moods that were given, 1 to 10; nil if none was.
	Mood *float64 `json:"mood,omitempty"`
	// Sentiment is the mean score, -1 to 1; nil before any analysis.
	Sentiment *float64 `json:"sentiment,omitempty"`
}

// NamedMean is the mean of something, 0 to 1.
type NamedMean struct {
	Name string  `json:"name"`
	Mean float64 `json:"mean"`
}

// TrendTheme is a theme with the entries that it was found in.
type TrendTheme struct {
	Name    string `json:"name"`
	Entries int64  `json:"entries"`
	// Sentiment is the mean score of those entries; nil without any.
	Sentiment *float64 `json:"sentiment,omitempty"`
}

// TrendStep is how much time one point of a trend covers.
type TrendStep string

// The steps.
const (
	StepDay   TrendStep = "day"
	StepWeek  TrendStep = "week"
	StepMonth TrendStep = "month"
)

// TrendRanges lists the periods that a trend can cover: name, days back and step;
// all reaches back to the first entry.
var TrendRanges = map[string]struct {
	Days int
	Step TrendStep
}{"7d": {7, StepDay}, "30d": {30, StepDay}, "90d": {90, StepWeek}, "1y": {365, StepMonth}, "all": {0, StepMonth}}
