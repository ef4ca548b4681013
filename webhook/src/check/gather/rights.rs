//! What Curfew's service account may do, as the API server says.

use futures_util::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};

use super::{AT_ONCE, opted_in};
use crate::{
    check::{Facts, Right, Seen, Unseen, known, settings},
    rescue::denied,
};

/// What Curfew's service account may do of what it needs.
pub(super) async fn of(client: &Client, facts: &Facts) -> Vec<(Right, Seen<bool>)> {
    let Some(deployment) = facts.deployment() else { return Vec::new() };
    let settings = settings::of(facts).unwrap_or_default();
    let configuration = facts.ours().next().map_or("00-curfew", known::name);
    let account = settings::account(deployment);
    let opted_in = opted_in(facts);
    let rights = Right::all(&facts.own, deployment, &settings, configuration).into_iter().map(|right| {
        let (account, opted_in) = (&account, &opted_in);
        async move {
            let mut allowed = may(client, &facts.own, account, &right).await;
            if allowed == Ok(false) {
                allowed = everywhere(client, &facts.own, account, &right, opted_in).await;
            }
            (right, allowed)
        }
    });
    stream::iter(rights).buffered(AT_ONCE).collect().await
}

/// Whether it has as much in each of these namespaces, as where it was installed for them alone.
async fn everywhere(
    client: &Client,
    own: &str,
    account: &str,
    right: &Right,
    namespaces: &[String],
) -> Seen<bool> {
    for namespace in namespaces {
        let Some(there) = right.in_namespace(namespace) else { return Ok(false) };
        if !may(client, own, account, &there).await? {
            return Ok(false);
        }
    }
    Ok(!namespaces.is_empty())
}

async fn may(client: &Client, own: &str, account: &str, right: &Right) -> Seen<bool> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource, None),
    };
    let attributes = ResourceAttributes {
        verb: Some(right.verb.to_owned()),
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        name: right.name.clone(),
        namespace: right.namespace.clone(),
        ..ResourceAttributes::default()
    };
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{own}"),
        "system:authenticated".to_owned(),
    ];
    let spec = SubjectAccessReviewSpec {
        user: Some(format!("system:serviceaccount:{own}:{account}")),
        groups: Some(groups.into()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let api = Api::<SubjectAccessReview>::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer =
        answer.map_err(|error| Unseen::from(denied(error, "create subjectaccessreviews", None, "review")))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
