//! Carrying a decision out.

use super::{ANSWER, Keeper, Place, secret};
use curfew_certs::{Authority, CaCertificate, IssueError, rotation::Action};
use kube::api::{Patch, PatchParams};
use std::time::SystemTime;

/// Why a move could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("{0}")]
    Issue(#[from] IssueError),
    #[error("no answer from the API server within {} s", ANSWER.as_secs())]
    NoAnswer,
    #[error("{0}")]
    Refused(String),
}

impl Keeper {
    /// Does it once.
    pub(super) async fn make(&mut self, action: &Action, now: SystemTime) -> Result<(), Failure> {
        let life = self.times.ca_life;
        let held = || self.remembered.as_ref().ok_or_else(|| Failure::Refused("there is no CA".to_owned()));
        match action {
            Action::Create(trusted) => {
                self.write(&Authority::create(trusted.clone(), now, life)?, false).await
            }
            Action::Restore => self.write(held()?, false).await,
            Action::Amend(ca) => self.write(&held()?.trusting(ca), true).await,
            Action::Stage => self.write(&held()?.staged(now, life)?, false).await,
            Action::Promote => self.write(&held()?.promoted(now), true).await,
            Action::Settle => self.write(&held()?.settled(), true).await,
            Action::Publish(bundle) => self.publish(bundle).await,
            Action::Serve => {
                let leaf = held()?.active.sign(&self.names, now, self.times.leaf_life)?;
                self.resolver.replace(leaf.key.clone());
                self.leaf = Some(leaf);
                Ok(())
            }
            Action::Refuse => {
                let Place { namespace, secret, .. } = &self.place;
                Err(Failure::Refused(format!(
                    "Secret {namespace}/{secret} lacks the label {}, so it is not Curfew's: delete it, or name another \
                     by --tls-secret",
                    secret::LABEL
                )))
            }
        }
    }

    /// `still_asked`: whether a wish for another CA that came meanwhile stays.
    async fn write(&self, authority: &Authority, still_asked: bool) -> Result<(), Failure> {
        let Some(seen) = &self.secret else { return Ok(()) };
        let asked = still_asked && seen.asks_for_another();
        let secret = secret::holding(authority, &self.place.secret, seen.metadata(), asked);
        match seen.metadata() {
            None => self.secrets.create(&Default::default(), &secret).await?,
            Some(_) => self.secrets.replace(&self.place.secret, &Default::default(), &secret).await?,
        };
        Ok(())
    }

    async fn publish(&self, bundle: &[CaCertificate]) -> Result<(), Failure> {
        let Some(seen) = &self.configuration else { return Ok(()) };
        let name = &self.place.configuration;
        if let Some(refusal) = seen.refusal(name) {
            return Err(Failure::Refused(refusal));
        }
        let patch = seen.patch(bundle).map_err(|error| Failure::Refused(error.to_string()))?;
        // So that who looks at its fields' managers sees whose the bundles are.
        let parameters = PatchParams { field_manager: Some("curfew".to_owned()), ..PatchParams::default() };
        self.configurations.patch_metadata(name, &parameters, &Patch::Json::<()>(patch)).await?;
        Ok(())
    }
}
