//! The OpenID Connect issuer: where to send people, and who came back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    HttpRequest, IdTokenClaims, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, StandardErrorResponse, StandardTokenResponse,
    SubjectIdentifier, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::error::AccessError;
use crate::identity::{Identity, LONGEST, shown};
use crate::secret;
use crate::settings::{Oidc, read_secret};
use crate::web::{NoAnswer, Web};

/// By how much the issuer's clock may be off.
const SKEW_S: i64 = 60;
/// After it could not be asked, it is left alone for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// Of groups that one person is in: more is no list of groups.
const MOST_GROUPS: usize = 2_000;
/// With keys of which the issuer gives out one half only.
const SIGNED_WITH: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What the standard does not name, groups among it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Others {
    #[serde(flatten)]
    claims: serde_json::Map<String, Value>,
}

impl AdditionalClaims for Others {}

type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type Claims = IdTokenClaims<Others, CoreGenderClaim>;
type Client = openidconnect::Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

pub(crate) struct Issuer {
    address: IssuerUrl,
    client_id: ClientId,
    secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    groups_claim: String,
    scopes: Vec<Scope>,
    web: Web,
    known: Mutex<Known>,
}

/// What it says of itself, its keys among it.
#[derive(Default)]
struct Known {
    metadata: Option<Arc<CoreProviderMetadata>>,
    /// When it was asked last and gave no answer, and why.
    failed: Option<(Instant, String)>,
}

/// A sign-in that begins: where to go, and what its end is checked with.
pub(crate) struct Begun {
    pub(crate) to: Url,
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
}

/// What came back, and what was kept of the beginning.
pub(crate) struct Returned {
    pub(crate) code: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    pub(crate) now: time::OffsetDateTime,
}

impl Issuer {
    /// `None` where the settings name none. It is not asked anything yet.
    pub(crate) fn new(settings: &Oidc) -> Result<Option<Issuer>, AccessError> {
        if !settings.is_there() {
            return Ok(None);
        }
        let wrong = |key: &str, detail: String| AccessError::Settings(format!("access.oidc.{key}: {detail}"));
        let secret = match settings.client_secret_file.as_str() {
            "" => None,
            file => Some(read_secret("access.oidc.client_secret_file", file).map_err(AccessError::Settings)?),
        };
        Ok(Some(Issuer {
            address: IssuerUrl::new(settings.issuer.clone()).map_err(|error| wrong("issuer", error.to_string()))?,
            client_id: ClientId::new(settings.client_id.clone()),
            secret: secret.map(ClientSecret::new),
            redirect: RedirectUrl::new(settings.redirect_url.clone())
                .map_err(|error| wrong("redirect_url", error.to_string()))?,
            groups_claim: settings.groups_claim.clone(),
            scopes: settings.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new).collect(),
            web: Web::new(&settings.ca_file).map_err(AccessError::Settings)?,
            known: Mutex::default(),
        }))
    }

    /// For people: its host.
    pub(crate) fn name(&self) -> &str {
        self.address.url().host_str().unwrap_or_default()
    }

    /// What it says of itself: asked once, and again after it could not be.
    pub(crate) async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, AccessError> {
        let mut known = self.known.lock().await;
        if let Some(metadata) = &known.metadata {
            return Ok(metadata.clone());
        }
        if let Some((at, detail)) = &known.failed
            && at.elapsed() < PAUSE
        {
            return Err(self.away(detail.clone()));
        }
        match Box::pin(self.discover()).await {
            Ok(metadata) => {
                *known = Known { metadata: Some(metadata.clone()), failed: None };
                Ok(metadata)
            }
            Err(detail) => {
                known.failed = Some((Instant::now(), detail.clone()));
                Err(self.away(detail))
            }
        }
    }

    async fn discover(&self) -> Result<Arc<CoreProviderMetadata>, String> {
        let found = CoreProviderMetadata::discover_async(self.address.clone(), &self.asking()).await;
        found.map(Arc::new).map_err(|error| match error {
            openidconnect::DiscoveryError::Request(error) => error.to_string(),
            error => format!("{error}; access.oidc.issuer must be what the issuer calls itself"),
        })
    }

    fn asking(
        &self,
    ) -> impl for<'c> openidconnect::AsyncHttpClient<'c, Error = NoAnswer, Future: Send> + Send + Sync + use<> {
        let web = self.web.clone();
        move |request: HttpRequest| {
            let web = web.clone();
            Box::pin(async move { web.ask(request).await })
        }
    }

    fn away(&self, detail: String) -> AccessError {
        AccessError::IssuerAway { issuer: self.address.to_string(), detail }
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Client {
        let client: Client =
            Client::from_provider_metadata(metadata.clone(), self.client_id.clone(), self.secret.clone());
        let by = metadata.token_endpoint_auth_methods_supported();
        let basic = by.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let by = if basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        client.set_auth_type(by).set_redirect_uri(self.redirect.clone())
    }

    pub(crate) async fn begin(&self) -> Result<Begun, AccessError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (state, nonce) = (CsrfToken::new(secret::make()?), Nonce::new(secret::make()?));
        let (to, state, nonce) = client
            .authorize_url(AuthenticationFlow::<CoreResponseType>::AuthorizationCode, || state, || nonce)
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(challenge)
            .url();
        Ok(Begun { to, state: state.into_secret(), nonce: nonce.secret().clone(), verifier: verifier.into_secret() })
    }

    /// Whether an answer that names its issuer names this one.
    pub(crate) fn is(&self, issuer: &str) -> bool {
        issuer == self.address.as_str()
    }

    /// Who came back.
    pub(crate) async fn finish(&self, returned: Returned) -> Result<Identity, AccessError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let wrong = |error: openidconnect::ConfigurationError| AccessError::Untrusted(error.to_string());
        let exchange = client.exchange_code(AuthorizationCode::new(returned.code)).map_err(wrong)?;
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(returned.verifier));
        let tokens = exchange.request_async(&self.asking()).await.map_err(|error| self.not_exchanged(error))?;
        let (nonce, now) = (Nonce::new(returned.nonce), returned.now);
        let claims = match verified(&client, &tokens, &nonce, now) {
            // The issuer may have new keys.
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                let metadata = Box::pin(self.discover()).await.map_err(|detail| self.away(detail))?;
                let client = self.client(&metadata);
                self.known.lock().await.metadata = Some(metadata);
                verified(&client, &tokens, &nonce, now)
            }
            verified => verified,
        };
        let claims = claims.map_err(|error| AccessError::Untrusted(error.to_string()))?;
        let more = match claims.additional_claims().claims.contains_key(&self.groups_claim) {
            true => None,
            false => self.asked_more(&client, &tokens, claims.subject()).await?,
        };
        self.identity(&claims, more.as_ref())
    }

    /// What the issuer keeps out of the token, and tells whoever has one.
    async fn asked_more(
        &self,
        client: &Client,
        tokens: &Tokens,
        subject: &SubjectIdentifier,
    ) -> Result<Option<UserInfoClaims<Others, CoreGenderClaim>>, AccessError> {
        let Ok(asked) = client.user_info(tokens.access_token().clone(), Some(subject.clone())) else { return Ok(None) };
        let told = asked.request_async(&self.asking()).await;
        told.map(Some).map_err(|error| match error {
            openidconnect::UserInfoError::Request(error) => self.away(error.to_string()),
            error => AccessError::Untrusted(error.to_string()),
        })
    }

    fn identity(
        &self,
        claims: &Claims,
        more: Option<&UserInfoClaims<Others, CoreGenderClaim>>,
    ) -> Result<Identity, AccessError> {
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > LONGEST || !subject.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(AccessError::Untrusted("the subject is no name of up to 255 ASCII letters".into()));
        }
        let told = more
            .and_then(|more| more.name())
            .or(claims.name())
            .and_then(|name| name.get(None))
            .map(|name| name.as_str());
        let account = more.and_then(|more| more.preferred_username()).or(claims.preferred_username());
        let name = told.filter(|name| !name.trim().is_empty()).or(account.map(|account| account.as_str()));
        let others = more.map_or(claims.additional_claims(), |more| more.additional_claims());
        Ok(Identity {
            person: format!("{} {subject}", self.address.as_str()),
            name: shown(name, subject),
            groups: groups(others.claims.get(&self.groups_claim))?,
        })
    }

    fn not_exchanged(
        &self,
        error: RequestTokenError<NoAnswer, StandardErrorResponse<CoreErrorResponseType>>,
    ) -> AccessError {
        match error {
            RequestTokenError::Request(error) => self.away(error.to_string()),
            RequestTokenError::ServerResponse(refusal) => AccessError::NotLetIn(refusal.to_string()),
            // What it said may hold a token.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                AccessError::Untrusted("it is no answer to a code".into())
            }
        }
    }
}

/// The claims of a token that is the issuer's, for this console and this sign-in, and in force.
fn verified(
    client: &Client,
    tokens: &Tokens,
    nonce: &Nonce,
    now: time::OffsetDateTime,
) -> Result<Claims, ClaimsVerificationError> {
    let other = |problem: &str| ClaimsVerificationError::Other(problem.into());
    let now = DateTime::<Utc>::from_timestamp(now.unix_timestamp(), 0).ok_or_else(|| other("the database's clock"))?;
    let skew = TimeDelta::seconds(SKEW_S);
    let verifier = client
        .id_token_verifier()
        .set_allowed_algs(SIGNED_WITH)
        .set_time_fn(move || now - skew)
        .set_issue_time_verifier_fn(move |issued| match issued > now + skew {
            true => Err("it is of a time to come; set the clocks".into()),
            false => Ok(()),
        });
    let token = tokens.id_token().ok_or_else(|| other("there is no ID token"))?;
    let claims = token.claims(&verifier, nonce)?;
    if let Some(expected) = claims.access_token_hash() {
        let hashed = token.signing_alg().ok().zip(token.signing_key(&verifier).ok());
        let hashed = hashed.and_then(|(alg, key)| AccessTokenHash::from_token(tokens.access_token(), alg, key).ok());
        if hashed.as_ref() != Some(expected) {
            return Err(other("the access token is not the one that the ID token is for"));
        }
    }
    Ok(claims.clone())
}

/// One name or several; nothing else is a group.
fn groups(claim: Option<&Value>) -> Result<BTreeSet<String>, AccessError> {
    match claim {
        Some(Value::String(one)) => Ok([one.clone()].into()),
        Some(Value::Array(some)) if some.len() > MOST_GROUPS => Err(AccessError::Untrusted(format!(
            "it names {} groups; have it name those that the console knows",
            some.len()
        ))),
        Some(Value::Array(some)) => Ok(some.iter().filter_map(Value::as_str).map(String::from).collect()),
        _ => Ok(BTreeSet::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_names_and_nothing_else() {
        let read = |value: Value| groups(Some(&value)).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(read(json!(["b", "a", "b", 1, null, ["c"], {"d": "e"}])), ["a", "b"]);
        assert_eq!(read(json!("a b")), ["a b"]);
        for nothing in [json!(null), json!({"a": true}), json!(1), json!([])] {
            assert_eq!(read(nothing), Vec::<String>::new());
        }
        assert!(groups(None).unwrap().is_empty());
        assert!(groups(Some(&json!(vec!["a"; MOST_GROUPS + 1]))).is_err());
    }
}
