package store

// taskQueries lists the queries about tasks and insights for allQueries.
func taskQueries() map[string]string {
	return map[string]string{
		"insertTasksSQL": insertTasksSQL(0), "insertTasksSQL shifted": insertTasksSQL(7),
		"cancelSupersededSQL": cancelSupersededSQL, "byKeySQL": byKeySQL, "dueSQL": dueSQL, "unqueueSQL": unqueueSQL, "claimSQL": claimSQL, "extendSQL": extendSQL,
		"retrySQL": retrySQL, "endSQL": endSQL, "releaseSQL": releaseSQL, "sweepQueuedSQL": sweepQueuedSQL,
		"sweepRunningSQL": sweepRunningSQL, "countsSQL": countsSQL, "oldestReadySQL": oldestReadySQL, "finishSQL": finishSQL,
		"entryTasksSQL": entryTasksSQL, "failedTasksSQL": failedTasksSQL, "entryInsightsSQL": entryInsightsSQL,
		"userInsightsSQL": userInsightsSQL, "rerunSQL": rerunSQL, "rerunTaskSQL": rerunTaskSQL, "weeklySQL": weeklySQL,
		"subjectSQL": subjectSQL, "weekSQL": weekSQL, "aiUsageSQL": aiUsageSQL, "addAIUsageSQL": addAIUsageSQL,
		"providerUsageSQL": providerUsageSQL, "addProviderUsageSQL": addProviderUsageSQL,
		"insertDraftSQL": insertDraftSQL, "claimDraftsSQL": claimDraftsSQL, "answerDraftSQL": answerDraftSQL, "draftSQL": draftSQL,
		"deleteDraftSQL": deleteDraftSQL, "purgeTasksSQL": purgeTasksSQL, "purgeDraftsSQL": purgeDraftsSQL, "purgeUsageSQL": purgeUsageSQL,
		"purgeLimitsSQL": purgeLimitsSQL, "purgeAuditSQL": purgeAuditSQL,
		"trendPointsSQL": trendPointsSQL, "trendLabelsSQL": trendLabelsSQL, "trendEmotionsSQL": trendEmotionsSQL,
		"trendThemesSQL": trendThemesSQL, "trendHoursSQL": trendHoursSQL,
	}
}
