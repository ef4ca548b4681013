//! From an `AdmissionReview` to its answer. Whatever comes in, the pod is admitted.

mod review;
mod webhook;

pub use webhook::Webhook;

use axum::http::StatusCode;
use json_patch::Patch;
use serde_json::Value;

use crate::{
    config::Config,
    patch,
    plan::{self, Context, Namespace, Plan, Verdict},
    pod::Pod,
    serve::{Answer, Facts},
};
use review::{Request, Response, Review, ReviewError};

/// Answers reviews by one configuration.
#[derive(Debug)]
pub struct Engine {
    config: Config,
}

/// What is done with one pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It goes as it came, and this is why.
    Untouched(&'static str),
    /// It was planned for; the patch may be empty.
    Planned {
        /// The plan.
        plan: Box<Plan>,
        /// Its operations.
        patch: Patch,
        /// The pod with them applied.
        patched: Value,
    },
    /// It could not be read or patched, and goes as it came.
    Failed(String),
}

impl Engine {
    /// An engine for this configuration.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Plans and patches one raw pod; `strategy` beats every annotation.
    ///
    /// `template_of` is the pod as its controller would make it, where `raw` is only its template.
    pub fn decide(
        &self,
        raw: Value,
        template_of: Option<&Value>,
        namespace: &Namespace,
        strategy: Option<plan::Wish>,
    ) -> Outcome {
        let Config { settings, catalogue } = &self.config;
        let verdict = match Pod::read(template_of.unwrap_or(&raw)) {
            Ok(pod) => plan::plan(&pod, Context { namespace, catalogue, settings, strategy }),
            Err(error) => return Outcome::Failed(format!("the pod cannot be read: {error}")),
        };
        let plan = match verdict {
            Verdict::Untouched(reason) => return Outcome::Untouched(reason),
            Verdict::Planned(plan) => plan,
        };
        let patch = patch::of(&raw, &plan);
        match patch::checked(raw, &patch) {
            Ok(patched) => Outcome::Planned { plan, patch, patched },
            Err(error) => Outcome::Failed(format!("the patch does not apply: {error}")),
        }
    }

    /// Answers one review of a pod whose namespace has no defaults.
    pub fn review(&self, body: &[u8]) -> Answer {
        match Review::read(body) {
            Ok(review) => self.answer(review, &Namespace::default()),
            Err(error) => refuse(&error),
        }
    }

    fn answer(&self, mut review: Review, namespace: &Namespace) -> Answer {
        let (response, facts) = self.respond(&mut review.request, namespace);
        Answer { status: StatusCode::OK, body: review.answer(&response), facts }
    }

    fn respond(&self, request: &mut Request, namespace: &Namespace) -> (Response, Option<Facts>) {
        let response = Response::admit(&request.uid);
        if let Some(reason) = request.not_ours() {
            return (
                response.warn(&[format!("curfew: {reason}; admitted unchanged")]),
                Some(facts("skipped")),
            );
        }
        match self.decide(request.object.take(), None, namespace, None) {
            Outcome::Untouched(_) => (response, Some(facts("skipped"))),
            Outcome::Failed(reason) => {
                tracing::warn!(uid = %request.uid, namespace = %request.namespace, %reason, "admitted unchanged");
                (response.warn(&[format!("curfew: {reason}; admitted unchanged")]), Some(facts("failed")))
            }
            Outcome::Planned { plan, patch, .. } => {
                tracing::debug!(
                    uid = %request.uid,
                    namespace = %request.namespace,
                    workload = %plan.workload,
                    strategy = plan.strategy.name(),
                    reason = %plan.reason,
                    operations = patch.len(),
                    "planned"
                );
                let audit =
                    [("strategy", plan.strategy.name().to_owned()), ("workload", plan.workload.clone())];
                let response = response.warn(&plan.warnings).audit(audit);
                let (response, patch_bytes) = match patch.is_empty() {
                    true => (response, 0),
                    false => response.patch(&patch),
                };
                let facts = Facts {
                    workload: plan.workload.clone().into(),
                    strategy: plan.strategy.name(),
                    outcome: if patch_bytes > 0 { "patched" } else { "unchanged" },
                    patch_bytes,
                };
                (response, Some(facts))
            }
        }
    }
}

/// What a body that holds no review is answered with.
fn refuse(error: &ReviewError) -> Answer {
    Answer { status: StatusCode::BAD_REQUEST, body: format!("{error}\n").into_bytes(), facts: None }
}

/// Facts about a pod no plan was made for.
fn facts(outcome: &'static str) -> Facts {
    Facts { workload: "unknown".into(), strategy: "unknown", outcome, patch_bytes: 0 }
}
