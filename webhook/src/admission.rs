//! From an `AdmissionReview` to its answer. Whatever comes in, the pod is admitted.

mod review;
mod webhook;

pub use webhook::Webhook;

use axum::http::StatusCode;
use serde_json::Value;

use crate::{
    config::Config,
    patch::{self, Patch},
    plan::{self, Context, Kubelets, Namespace, Plan, Verdict},
    pod::Pod,
    serve::{Answer, Facts},
};
use review::{Request, Response, Review, ReviewError};

/// Answers reviews by one configuration.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    of_files: bool,
}

/// What is known beside the pod.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Its namespace.
    pub namespace: &'a Namespace,
    /// The kubelets it may land on.
    pub kubelets: &'a Kubelets,
    /// Curfew's watch runs on the cluster.
    pub watch: bool,
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

/// An [`Outcome`] before its patch is applied to anything.
enum Decision {
    Untouched(&'static str),
    Planned(Box<Plan>, Patch),
}

impl Engine {
    /// An engine for this configuration.
    pub fn new(config: Config) -> Self {
        Self { config, of_files: false }
    }

    /// One for pods in files, which no admission has seen yet.
    pub fn of_files(config: Config) -> Self {
        Self { config, of_files: true }
    }

    /// Plans and patches one raw pod, and applies the patch; `strategy` beats every annotation.
    ///
    /// `template_of` is the pod as its controller would make it, where `raw` is only its template.
    pub fn decide(
        &self,
        raw: Value,
        template_of: Option<&Value>,
        around: Surroundings<'_>,
        strategy: Option<plan::Wish>,
    ) -> Outcome {
        let (template, pod) = (raw.to_string(), template_of.map(Value::to_string));
        let decision = Pod::read(&template).and_then(|template| match &pod {
            Some(pod) => Ok(self.judge(&Pod::read(pod)?, &template, around, strategy)),
            None => Ok(self.judge(&template, &template, around, strategy)),
        });
        match decision {
            Ok(Decision::Untouched(reason)) => Outcome::Untouched(reason),
            Ok(Decision::Planned(plan, patch)) => match patch.applied(raw) {
                Ok(patched) => Outcome::Planned { plan, patch, patched },
                Err(error) => Outcome::Failed(format!("the patch does not apply: {error}")),
            },
            Err(error) => Outcome::Failed(unreadable(&error)),
        }
    }

    /// Answers one review.
    pub fn review(&self, body: &[u8], around: Surroundings<'_>) -> Answer {
        match Review::read(body) {
            Ok(review) => self.answer(&review, around),
            Err(error) => refuse(&error),
        }
    }

    /// What is done about `pod`, as a patch against `raw`: itself, or the template it comes from.
    fn judge(
        &self,
        pod: &Pod<'_>,
        raw: &Pod<'_>,
        around: Surroundings<'_>,
        strategy: Option<plan::Wish>,
    ) -> Decision {
        let Self { config: Config { settings, catalogue }, of_files: of_file } = self;
        let Surroundings { namespace, kubelets, watch } = around;
        let context =
            Context { namespace, kubelets, catalogue, settings, watch, strategy, of_file: *of_file };
        match plan::plan(pod, context) {
            Verdict::Untouched(reason) => Decision::Untouched(reason),
            Verdict::Planned(plan) => {
                let patch = patch::of(raw, &plan);
                Decision::Planned(plan, patch)
            }
        }
    }

    fn answer(&self, review: &Review<'_>, around: Surroundings<'_>) -> Answer {
        let (response, facts) = self.respond(&review.request, around);
        Answer { status: StatusCode::OK, body: review.answer(&response), facts: Some(facts) }
    }

    fn respond<'r>(&self, request: &'r Request<'_>, around: Surroundings<'_>) -> (Response<'r>, Facts) {
        let response = Response::admit(&request.uid);
        if let Some(reason) = request.not_ours() {
            return (response.warn(&[format!("curfew: {reason}; admitted unchanged")]), facts("skipped"));
        }
        let pod = match &request.pod {
            Ok(pod) => pod,
            Err(error) => {
                let reason = unreadable(error);
                tracing::warn!(uid = %request.uid, namespace = %request.namespace, %reason, "admitted unchanged");
                return (response.warn(&[format!("curfew: {reason}; admitted unchanged")]), facts("failed"));
            }
        };
        match self.judge(pod, pod, around, None) {
            Decision::Untouched(_) => (response, facts("skipped")),
            Decision::Planned(plan, patch) => {
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
                let (response, outcome, patch_bytes) = match patch.is_empty() {
                    true => (response, "unchanged", 0),
                    false => (response.patch(patch.json()), "patched", patch.json().len()),
                };
                let strategy = plan.strategy.name();
                let facts = Facts { workload: plan.workload.into(), strategy, outcome, patch_bytes };
                (response, facts)
            }
        }
    }
}

/// What a body that holds no review is answered with.
fn refuse(error: &ReviewError) -> Answer {
    Answer { status: StatusCode::BAD_REQUEST, body: format!("{error}\n").into_bytes(), facts: None }
}

/// Without line and column: they are of a text nobody sees.
fn unreadable(error: &serde_json::Error) -> String {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    format!("the pod cannot be read: {}", text.strip_suffix(&place).unwrap_or(&text))
}

/// Facts about a pod no plan was made for.
fn facts(outcome: &'static str) -> Facts {
    Facts { workload: "unknown".into(), strategy: "unknown", outcome, patch_bytes: 0 }
}
