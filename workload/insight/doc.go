// Package insight says what each kind of task asks a model, which shape the answer has, and how it becomes an insight.
//
// The shapes (Data of englog.Insight; all lists may be empty, all texts are clipped and free of control characters):
//
//	sentiment           {score -1…1, label positive|neutral|negative, magnitude 0…1, confidence 0…1, emotions{joy, sadness, anger, fear, surprise: 0…1}}
//	content_extraction  {key_phrases[≤10], action_items[≤20], links[≤20], word_count, reading_time_minutes}
//	themes              {themes[≤5]{name, confidence 0…1}}
//	entities            {entities[≤20]{text, type person|organization|technology|project|place|date|issue|other}}
//	summary             {text}
//	tag_suggestions     {tags[≤5]}
//	weekly_insight      {text, highlights[≤10], recommendations[≤5], themes[≤5]{name, confidence}, entries, minutes, mood_average|null}
//
// The package must never import a database driver, a Redis client, package store or package redisx.
package insight
