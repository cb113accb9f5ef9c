package englog

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable, machine-readable kind of an error. Clients branch on it;
// package api is the only place that turns it into an HTTP status.
type Code string

// The complete list of codes.
const (
	CodeInvalid         Code = "invalid"
	CodeUnauthenticated Code = "unauthenticated"
	CodeForbidden       Code = "forbidden"
	CodeNotFound        Code = "not_found"
	CodeConflict        Code = "conflict"
	CodeStale           Code = "stale"
	CodeTooLarge        Code = "too_large"
	CodeRateLimited     Code = "rate_limited"
	CodeUnavailable     Code = "unavailable"
	CodeInternal        Code = "internal"
)

// FieldError says what is wrong with one field of the input and how to repair it.
type FieldError struct {
	// Field is the path of the field as the client sent it, for example "tags[3]".
	Field string `json:"field"`
	// Message names the rule that was broken and the remedy.
	Message string `json:"message"`
}

// Error is an error that a client may see: Message and Fields are safe to show,
// Err is for the log only.
type Error struct {
	Code    Code
	Message string
	Fields  []FieldError
	// RetryAfter is how long a client should wait (rate_limited, unavailable); 0 if unknown.
	RetryAfter time.Duration
	// CurrentVersion is the version that is stored now (stale only); 0 otherwise.
	CurrentVersion int32
	Err            error
}

// Error returns the message with the hidden cause, for logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return string(e.Code) + ": " + e.Message + ": " + e.Err.Error()
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the hidden cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a code with a message that is safe to show.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an error about one field.
func Invalid(field, message string) *Error {
	return InvalidFields([]FieldError{{Field: field, Message: message}})
}

// InvalidFields makes one error about several fields.
func InvalidFields(fields []FieldError) *Error {
	return &Error{Code: CodeInvalid, Message: "The input has invalid fields.", Fields: fields}
}

// NotFound makes the error for a thing that does not exist, or that the caller
// must not know to exist.
func NotFound(what string) *Error {
	return Errorf(CodeNotFound, "There is no such %s.", what)
}

// Stale makes the error for an edit that was based on an older version.
func Stale(current int32) *Error {
	return &Error{
		Code:           CodeStale,
		Message:        "The entry was changed by someone else. Read it again and repeat the edit.",
		CurrentVersion: current,
	}
}

// StaleProfile makes the error for a change of a profile that was based on an older state of it.
func StaleProfile() *Error {
	return Errorf(CodeStale, "The profile was changed meanwhile. Read it again and repeat the change.")
}

// Unavailable makes the error for a dependency that does not answer.
func Unavailable(message string, cause error) *Error {
	return &Error{Code: CodeUnavailable, Message: message, Err: cause, RetryAfter: time.Second}
}

// CodeOf returns the code of err: internal for an error of unknown kind, empty
// for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
