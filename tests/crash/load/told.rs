//! What clients are told: the answers of the native API, read.

use serde_json::Value;

use crate::checker::Told;
use crate::common::Reply;

/// Reads the answer to a single command; nothing when it is not settled.
pub(super) fn told_alone(reply: &Reply) -> Option<Told> {
    match reply.status {
        200..300 => told_in_array(&reply.json()),
        500.. => None,
        _ => {
            let problem = reply.json();
            let refused = [
                "unknown_customer",
                "key_taken",
                "version_mismatch",
                "unknown_report",
                "customer_archived",
                "change_in_progress",
                "parent_is_self",
                "parent_unknown",
                "parent_is_child",
                "customer_has_children",
            ];
            let code = problem["code"].as_str().expect("a problem has a code").to_owned();
            assert!(refused.contains(&&*code), "{reply}");
            Some(Told {
                outcome: "rejected".to_owned(),
                position: position(&problem["position"]),
                code: Some(code),
                ..Told::default()
            })
        }
    }
}

/// Reads one answer of an array; nothing when it is not settled.
pub(super) fn told_in_array(answer: &Value) -> Option<Told> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Told {
        outcome: text(&answer["outcome"])?,
        position: position(&answer["position"]),
        customer_id: text(&answer["customer_id"]),
        version: answer["version"].as_u64(),
        events: Some(answer["events"].clone()),
        code: text(&answer["rejection"]["code"]),
    })
}

fn position(position: &Value) -> Option<(u64, u64)> {
    Some((position["partition"].as_u64()?, position["seq"].as_u64()?))
}
