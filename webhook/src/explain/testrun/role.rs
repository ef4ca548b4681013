//! What the pods of a TestRun are for, and what the operator waits for in each.

use crate::explain::{About, Explanation};

/// What a pod of a TestRun is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::explain) enum Role {
    /// Says what k6 makes of the script.
    Initializer,
    /// Runs it, as one of so many.
    Runner(usize),
    /// Has the runners begin.
    Starter,
}

// === impl Role ===

impl Role {
    /// What its Job's name ends with; of runners the first stands for all.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Initializer => "initializer",
            Self::Runner(_) => "1",
            Self::Starter => "starter",
        }
    }

    /// In words.
    pub(in crate::explain) fn told(self) -> String {
        match self {
            Self::Initializer => "an initializer".to_owned(),
            Self::Runner(1) => "a runner".to_owned(),
            Self::Runner(many) => format!("{many} runners"),
            Self::Starter => "a starter".to_owned(),
        }
    }

    /// Says what goes for pods of this role besides what goes for any.
    pub(in crate::explain) fn follows(self, left_alone: bool, told: &mut Explanation) {
        if let Self::Runner(many @ 2..) = self {
            told.say(About::Note, format!("the same goes for each of the {many} runners"));
        }
        if left_alone {
            told.say(About::Warning, self.left_alone());
        }
    }

    /// What becomes of the TestRun where Curfew leaves this pod alone and a mesh does not.
    fn left_alone(self) -> &'static str {
        match self {
            Self::Initializer => {
                "beside a proxy that nobody ends, the TestRun stays at `initialization`: the operator waits until this \
                 pod has Succeeded"
            }
            Self::Runner(_) => {
                "beside a proxy that nobody ends, the TestRun stays at `started`; at `created` already, where the mesh \
                 refuses the operator's GET of port 6565"
            }
            Self::Starter => {
                "beside a proxy that is not ready yet, or that the runners refuse, its PATCH is lost and the operator \
                 never looks: the runners stay paused and the TestRun at `started`, for ever and without a word"
            }
        }
    }
}
