//! Which requests are a model's. Everything else a program may ask of a service (files, batches, keys, telemetry) is refused.
//!
//! Sources: Anthropic "Messages" and "Count tokens" (platform.claude.com/docs/en/api), OpenAI "Responses" and "Chat
//! completions" (developers.openai.com/api/reference), Amazon Bedrock `InvokeModel` and `InvokeModelWithResponseStream`
//! (docs.aws.amazon.com/bedrock/latest/APIReference), Google Cloud `rawPredict` and `streamRawPredict`
//! (cloud.google.com/vertex-ai/docs/reference/rest).

use serde::{Deserialize, Serialize};

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Anthropic's own, or a gateway that speaks it.
    #[default]
    Anthropic,
    /// OpenAI's own, or a gateway that speaks it.
    OpenAi,
    /// Anthropic's models on Amazon Bedrock.
    Bedrock,
    /// Anthropic's models on Google Cloud.
    Vertex,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Is anybody there? Answered here.
    Probe,
    /// Anthropic's Messages, also as Google Cloud has them.
    Messages,
    /// How many tokens it would be. Costs nothing.
    CountTokens,
    /// Messages on Bedrock, answered whole.
    Invoke,
    /// Messages on Bedrock, answered in the frames of an event stream.
    InvokeStream,
    /// OpenAI's Responses.
    Responses,
    /// OpenAI's chat completions.
    Chat,
}

impl Api {
    /// Does it cost tokens?
    pub fn is_counted(self) -> bool {
        !matches!(self, Self::Probe | Self::CountTokens)
    }
    /// Is the answer in Anthropic's words?
    pub fn is_anthropic(self) -> bool {
        !matches!(self, Self::Responses | Self::Chat)
    }
}

/// What this is, if it is one of the model's. `path` is without the query.
pub fn route(service: Service, method: &str, path: &str) -> Option<Api> {
    // What a server might make of it is not known: such a path is none of ours.
    let lower = path.to_ascii_lowercase();
    if ["..", "//", "\\", "%2e", "%5c"].iter().any(|odd| lower.contains(odd)) {
        return None;
    }
    if (method == "HEAD" || method == "GET") && path == "/" {
        return Some(Api::Probe);
    }
    if method != "POST" {
        return None;
    }
    match service {
        Service::Anthropic => match path {
            "/v1/messages" => Some(Api::Messages),
            "/v1/messages/count_tokens" => Some(Api::CountTokens),
            _ => None,
        },
        Service::OpenAi => match path {
            "/v1/responses" => Some(Api::Responses),
            "/v1/chat/completions" => Some(Api::Chat),
            _ => None,
        },
        Service::Bedrock => {
            let (model, verb) = path.strip_prefix("/model/")?.split_once('/')?;
            match verb {
                "invoke" if !model.is_empty() => Some(Api::Invoke),
                "invoke-with-response-stream" if !model.is_empty() => Some(Api::InvokeStream),
                _ => None,
            }
        }
        Service::Vertex => {
            let parts: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
            let ["projects", _, "locations", _, "publishers", "anthropic", "models", model] = parts[..] else {
                return None;
            };
            match model.rsplit_once(':')? {
                ("count-tokens", "rawPredict") => Some(Api::CountTokens),
                (_, "rawPredict" | "streamRawPredict") => Some(Api::Messages),
                _ => None,
            }
        }
    }
}

/// The model's name where it stands in the path.
pub fn model_in_path(service: Service, path: &str) -> Option<String> {
    match service {
        Service::Bedrock => {
            path.strip_prefix("/model/")?.split('/').next().map(|m| m.replace("%3A", ":").replace("%3a", ":"))
        }
        Service::Vertex => Some(path.rsplit('/').next()?.rsplit_once(':')?.0.to_owned()),
        Service::Anthropic | Service::OpenAi => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_routes_pass_and_nothing_else() {
        use Service::{Anthropic, Bedrock, OpenAi, Vertex};
        let vertex = "/v1/projects/p/locations/global/publishers/anthropic/models";
        for (service, method, path, api) in [
            (Anthropic, "POST", "/v1/messages", Some(Api::Messages)),
            (Anthropic, "POST", "/v1/messages/count_tokens", Some(Api::CountTokens)),
            (Anthropic, "HEAD", "/", Some(Api::Probe)),
            (Anthropic, "GET", "/v1/messages", None),
            (Anthropic, "POST", "/v1/messages/batches", None),
            (Anthropic, "POST", "/v1/messages/../files", None),
            (Anthropic, "POST", "//v1/messages", None),
            (Anthropic, "POST", "/v1/files", None),
            (Anthropic, "GET", "/v1/organizations/api_keys", None),
            (Anthropic, "POST", "/v1/responses", None),
            (OpenAi, "POST", "/v1/responses", Some(Api::Responses)),
            (OpenAi, "POST", "/v1/chat/completions", Some(Api::Chat)),
            (OpenAi, "POST", "/v1/files", None),
            (OpenAi, "DELETE", "/v1/responses", None),
            (Bedrock, "POST", "/model/anthropic.claude-sonnet-5/invoke", Some(Api::Invoke)),
            (Bedrock, "POST", "/model/eu.anthropic.claude-5%3A0/invoke-with-response-stream", Some(Api::InvokeStream)),
            (Bedrock, "POST", "/model/x/converse", None),
            (Bedrock, "POST", "/model//invoke", None),
            (Bedrock, "POST", "/model/%2E%2e/invoke", None),
            (Bedrock, "POST", "/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Aprofile%2Fx/invoke", Some(Api::Invoke)),
            (Bedrock, "POST", "/guardrail/x/version/1/apply", None),
            (Vertex, "POST", &format!("{vertex}/claude-sonnet-5:streamRawPredict"), Some(Api::Messages)),
            (Vertex, "POST", &format!("{vertex}/claude-sonnet-5:rawPredict"), Some(Api::Messages)),
            (Vertex, "POST", &format!("{vertex}/count-tokens:rawPredict"), Some(Api::CountTokens)),
            (Vertex, "POST", &format!("{vertex}/claude-sonnet-5:predict"), None),
            (Vertex, "POST", "/v1/projects/p/locations/l/publishers/google/models/x:rawPredict", None),
        ] {
            assert_eq!(route(service, method, path), api, "{method} {path}");
        }
        assert_eq!(model_in_path(Bedrock, "/model/a.b-v1%3A0/invoke").as_deref(), Some("a.b-v1:0"));
        assert_eq!(model_in_path(Vertex, &format!("{vertex}/claude@1:rawPredict")).as_deref(), Some("claude@1"));
    }
}
