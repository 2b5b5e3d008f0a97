//! `POST /usage`: reports of what one customer used, each with its own result.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::command::{CommandBody, MAX_REPORTS};
use tallybook_events::customer::UsageReport;
use tallybook_events::decision::Accepted;
use tallybook_events::ids::{CustomerId, CustomerRef, Environment, Position, ReportId, Tenant};

use super::answer::{self, mark_repeated};
use super::asked::{Asked, check_scope};
use super::commands::command_pointer;
use super::later::{self, Decided};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::answer::json as answer_json;
use crate::gateway::auth::Caller;
use crate::gateway::body::{JSON, MAX_MANY};
use crate::gateway::submit::{Verdict, verdict};
use crate::keys::KeyScope;
use tallybook_events::outside::{self, Fault};

/// Reports of one customer, as a caller gives them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageBody {
    tenant: Option<Tenant>,
    environment: Option<Environment>,
    customer: CustomerRef,
    #[schemars(length(min = 1, max = MAX_REPORTS))]
    reports: Vec<UsageReport>,
}

/// What became of the reports.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageAnswer<'a> {
    customer_id: CustomerId,
    version: u64,
    position: Option<Position>,
    results: Vec<ReportResult<'a>>,
}

/// What became of one report.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct ReportResult<'a> {
    report_id: &'a ReportId,
    status: ReportStatus,
}

/// What became of one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ReportStatus {
    /// It counts.
    Recorded,
    /// It was recorded before, with the same content.
    Duplicate,
    /// Its id was recorded before, with other content.
    Conflict,
}

/// Takes reports. The customer is made when its key is not known.
pub(crate) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Usage)?;
    Parameters::none(request.uri())?;
    let (asked, body) = Asked::new(&core, &caller, request);
    let body = asked.body(body, &[JSON], MAX_MANY).await?;
    let text = outside::text(&body)?;
    let UsageBody { tenant, environment, customer, reports } = outside::read(text)?;
    check_scope(caller.scope(), tenant.as_ref(), environment)?;
    if reports.is_empty() || reports.len() > MAX_REPORTS {
        let detail = format!("must have 1 to {MAX_REPORTS} reports");
        return Err(Fault::invalid("/reports", detail).into());
    }
    let context = asked.context(text)?;
    let command = asked.command(customer, context, CommandBody::RecordUsage(reports.clone()));
    let answer = match later::decide(&asked, command).await? {
        Decided::Now(answer) => answer,
        Decided::Later(response) => return Ok(response),
    };
    core.try_shown([&answer]).await;
    let response = match verdict(&answer)? {
        Verdict::Accepted(accepted) => {
            let shown = UsageAnswer {
                customer_id: accepted.customer_id,
                version: accepted.to_version,
                position: answer.position,
                results: results(&reports, accepted),
            };
            answer_json(StatusCode::OK, &shown)
        }
        Verdict::Deferred => answer::decision(&answer),
        Verdict::Rejected(rejection) => {
            Problem::rejected(&answer, rejection, command_pointer(rejection)).into_response()
        }
    };
    Ok(mark_repeated(response, &answer))
}

/// Gives each report its result. The decision lists the ids of duplicates and conflicts, once for each
/// report that was one; an id that comes twice in one request may so be recorded and a duplicate.
fn results<'a>(reports: &'a [UsageReport], accepted: &Accepted) -> Vec<ReportResult<'a>> {
    /// What is still to be given out for one id.
    #[derive(Default)]
    struct Left<'a> {
        reports: usize,
        duplicates: usize,
        conflicts: usize,
        recorded: Option<&'a UsageReport>,
    }
    let mut left: HashMap<&ReportId, Left<'a>> = HashMap::with_capacity(reports.len());
    for report in reports {
        left.entry(&report.report_id).or_default().reports += 1;
    }
    for id in &accepted.duplicates {
        left.entry(id).or_default().duplicates += 1;
    }
    for id in &accepted.conflicts {
        left.entry(id).or_default().conflicts += 1;
    }
    let status = |report: &'a UsageReport| {
        let Some(left) = left.get_mut(&report.report_id) else { return ReportStatus::Recorded };
        if left.recorded.is_none() && left.reports > left.duplicates + left.conflicts {
            left.recorded = Some(report);
            return ReportStatus::Recorded;
        }
        let same = left.recorded.map_or(left.duplicates > 0, |recorded| recorded == report);
        let taken = if same { &mut left.duplicates } else { &mut left.conflicts };
        *taken = taken.saturating_sub(1);
        if same { ReportStatus::Duplicate } else { ReportStatus::Conflict }
    };
    let report_ids = reports.iter().map(|report| &report.report_id);
    report_ids
        .zip(reports.iter().map(status))
        .map(|(report_id, status)| ReportResult { report_id, status })
        .collect()
}
