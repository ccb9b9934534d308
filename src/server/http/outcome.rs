//! What a request came to, and the response that says so.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};

use crate::kms::caller::request_id;
use crate::server::json::{self, Failure};
use crate::server::sts;

/// A reply before it has the headers that all have.
pub(super) struct Outcome {
    status: StatusCode,
    media: &'static str,
    body: Vec<u8>,
    request_id: String,
}

impl Outcome {
    /// The service's answer, as JSON.
    pub fn done(body: Vec<u8>, request_id: String) -> Self {
        Self { status: StatusCode::OK, media: json::MEDIA_TYPE, body, request_id }
    }

    /// A refusal, as JSON.
    pub fn failed(failure: &Failure, request_id: String) -> Self {
        Self {
            status: status(failure.status),
            media: json::MEDIA_TYPE,
            body: failure.body(),
            request_id,
        }
    }

    /// Of the query protocol: status and body.
    pub fn of_query((code, body): (u16, String), request_id: String) -> Self {
        Self { status: status(code), media: sts::MEDIA_TYPE, body: body.into_bytes(), request_id }
    }

    /// To `GET /healthz`, which needs no signature: the listener is there.
    pub fn health(method: &Method) -> Self {
        let known = *method == Method::GET || *method == Method::HEAD;
        Self {
            status: if known { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED },
            media: "text/plain",
            body: if known { b"ok\n".to_vec() } else { Vec::new() },
            request_id: request_id(),
        }
    }

    /// The response, with the headers that all have.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            // What is left of the body is not read, so nothing can follow it.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert("x-amzn-requestid", id);
        }
        response
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_too_large_ends_its_connection() {
        for (status, ends) in [(413, true), (400, false), (500, false)] {
            let failure = Failure { status, name: "Name", message: None };
            let response = Outcome::failed(&failure, "id".to_owned()).into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(CONNECTION), ends, "{status}");
            assert_eq!(response.headers().get("x-amzn-requestid").unwrap(), "id");
        }
    }

    #[test]
    fn health_is_asked_for_and_not_told() {
        let answers = |method| Outcome::health(&method).into_response().status();
        assert_eq!(answers(Method::GET), StatusCode::OK);
        assert_eq!(answers(Method::HEAD), StatusCode::OK);
        assert_eq!(answers(Method::POST), StatusCode::METHOD_NOT_ALLOWED);
    }
}
