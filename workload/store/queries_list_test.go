package store

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// allQueries lists every query of the package by the name of its constant.
func allQueries() map[string]string {
	all := map[string]string{
		"entrySQL": entrySQL, "createEntrySQL": createEntrySQL, "createEntryKeyedSQL": createEntryKeyedSQL,
		"savedAnswerSQL": savedAnswerSQL, "insertKeySQL": insertKeySQL, "updateEntrySQL": updateEntrySQL, "deleteEntrySQL": deleteEntrySQL,
		"deleteEntriesSQL": deleteEntriesSQL, "entryVersionSQL": entryVersionSQL, "listEntriesSQL": listEntriesSQL,
		"listEntriesAfterSQL": listEntriesAfterSQL, "schemaSQL": schemaSQL, "heartbeatSQL": heartbeatSQL,
		"forgetInstanceSQL": forgetInstanceSQL, "settleSQL": settleSQL, "createCompatibilitySQL": createCompatibilitySQL,
		"userByIDSQL": userByIDSQL, "userByEmailSQL": userByEmailSQL, "insertUserSQL": insertUserSQL, "useInviteSQL": useInviteSQL,
		"updateUserSQL": updateUserSQL, "setPasswordSQL": setPasswordSQL, "upgradeHashSQL": upgradeHashSQL,
		"deleteUserSQL": deleteUserSQL, "restoreUserSQL": restoreUserSQL, "purgeUsersSQL": purgeUsersSQL,
		"purgeSessionsSQL": purgeSessionsSQL, "purgeKeysSQL": purgeKeysSQL, "purgeCodesSQL": purgeCodesSQL,
		"purgeInvitesSQL": purgeInvitesSQL, "insertInviteSQL": insertInviteSQL, "anyUserSQL": anyUserSQL, "auditSQL": auditSQL,
		"insertSessionSQL": insertSessionSQL, "refreshSQL": refreshSQL, "useRefreshSQL": useRefreshSQL,
		"insertRefreshSQL": insertRefreshSQL, "touchSessionSQL": touchSessionSQL, "revokeSessionSQL": revokeSessionSQL,
		"standingSQL": standingSQL, "sessionsSQL": sessionsSQL, "revokeSessionsSQL": revokeSessionsSQL,
		"insertTokenSQL": insertTokenSQL, "tokensSQL": tokensSQL, "tokenSQL": tokenSQL, "deleteTokenSQL": deleteTokenSQL,
		"touchTokenSQL": touchTokenSQL, "requestCodeSQL": requestCodeSQL, "useCodeSQL": useCodeSQL,
		"tagCountsSQL": tagCountsSQL, "renameTagSQL": renameTagSQL, "removeTagSQL": removeTagSQL, "daysSQL": daysSQL,
		"totalsSQL": totalsSQL, "kindCountsSQL": kindCountsSQL, "projectCountsSQL": projectCountsSQL, "onThisDaySQL": onThisDaySQL,
	}
	maps.Copy(all, taskQueries())
	delete(all, "insertTasksSQL shifted") // a part: createEntrySQL holds it
	for i, q := range sampleQueries() {
		all[fmt.Sprintf("findSQL %d", i)], _ = findSQL(uuid.Nil, q)
	}
	return all
}

// sampleQueries uses every filter at least once, with and without a text.
func sampleQueries() []englog.EntryQuery {
	full := englog.EntryQuery{
		AllTags: []string{"a"}, AnyTags: []string{"b"}, NoTags: []string{"c"}, Untagged: true, Kind: "note", Project: "p",
		From: time.Unix(0, 0), Until: time.Unix(9, 0), MinMood: 2, MaxMood: 9, Limit: 20,
	}
	after, text := full, full
	after.After = englog.Cursor{OccurredAt: time.Unix(5, 0), ID: uuid.New()}
	text.Text = "incident"
	textAfter := text
	textAfter.After = englog.Cursor{Rank: 0.5, ID: uuid.New()}
	return []englog.EntryQuery{full, after, text, textAfter, {Text: "only", Limit: 5}}
}

func TestQueriesFitTheSearch(t *testing.T) {
	for _, q := range sampleQueries() {
		sql, args := findSQL(uuid.Nil, q)
		for i := range args {
			if want := fmt.Sprintf("$%d", i+1); !strings.Contains(sql, want) {
				t.Errorf("parameter %s is not used in %s", want, sql)
			}
		}
	}
}
