package auth

import (
	"crypto/subtle"
	"errors"
	"strings"

	englog "github.com/garnizeh/englog-operator/workload"
)

// checkNewPassword applies the rules for a password that is being set: its
// length, that it is not the address, and that it is not one of those that
// everybody tries.
func checkNewPassword(field, password, email string) error {
	if err := englog.CheckPassword(field, password); err != nil {
		return err
	}
	lower := strings.ToLower(password)
	if lower == email || isCommon(lower) {
		return englog.Invalid(field, "is too easy to guess: choose another one")
	}
	return nil
}

// common holds what is left of the usual lists once 12 characters are demanded.
var common = []string{"password1234", "passwordpassword", "123456789012", "1234567890123", "qwertyuiop12", "qwertyuiopas", "administrator",
	"letmeinletmein", "iloveyouiloveyou", "welcome12345", "password12345", "qwerty123456", "changeme1234", "adminadminadmin", "000000000000", "111111111111"}

func isCommon(lower string) bool {
	for _, c := range common {
		if lower == c {
			return true
		}
	}
	return strings.Trim(lower, lower[:1]) == ""
}

// joinFields makes one error of several about fields; any other error wins.
func joinFields(errs ...error) error {
	var fields []englog.FieldError
	for _, err := range errs {
		var e *englog.Error
		switch {
		case err == nil:
		case errors.As(err, &e) && e.Code == englog.CodeInvalid:
			fields = append(fields, e.Fields...)
		default:
			return err
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return englog.InvalidFields(fields)
}

func sameSecret(a, b string) bool {
	return subtle.ConstantTimeCompare(hashToken(a), hashToken(b)) == 1
}
