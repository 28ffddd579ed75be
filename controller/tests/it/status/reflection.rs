//! A client that has no proto file: it learns the messages from server
//! reflection, asks with them and reads the answer.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::agent::Agent;
use super::fixture;

/// Asks reflection one question.
async fn reflect(channel: &Channel, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("reflection");
    let answer = answers.into_inner().message().await.expect("an answer").expect("an answer");
    answer.message_response.expect("an answer")
}

/// The descriptors of a symbol's file and of all that it imports.
async fn descriptors(channel: &Channel, symbol: &str) -> DescriptorPool {
    let mut files = BTreeMap::new();
    let mut questions = vec![MessageRequest::FileContainingSymbol(symbol.to_owned())];
    while let Some(question) = questions.pop() {
        let MessageResponse::FileDescriptorResponse(answer) = reflect(channel, question).await else {
            panic!("no file for a question")
        };
        for bytes in answer.file_descriptor_proto {
            let file = prost_types::FileDescriptorProto::decode(bytes.as_slice()).expect("a descriptor");
            for import in &file.dependency {
                if !files.contains_key(import) {
                    questions.push(MessageRequest::FileByFilename(import.clone()));
                }
            }
            files.insert(file.name().to_owned(), file);
        }
    }
    let set = prost_types::FileDescriptorSet { file: files.into_values().collect() };
    DescriptorPool::from_file_descriptor_set(set).expect("the files fit together")
}

/// Messages that are known by their descriptor alone.
struct Dynamic {
    answer: MessageDescriptor,
}

struct Encode;

impl Encoder for Encode {
    type Item = DynamicMessage;
    type Error = tonic::Status;

    fn encode(&mut self, item: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        to.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

struct Decode(MessageDescriptor);

impl Decoder for Decode {
    type Item = DynamicMessage;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, tonic::Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let message = DynamicMessage::decode(self.0.clone(), bytes);
        message.map(Some).map_err(|error| tonic::Status::internal(error.to_string()))
    }
}

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Encode;
    type Decoder = Decode;

    fn encoder(&mut self) -> Encode {
        Encode
    }

    fn decoder(&mut self) -> Decode {
        Decode(self.answer.clone())
    }
}

/// Calls a method with the fields of its request.
async fn call(channel: &Channel, method: &str, fields: &[(&str, Value)]) -> DynamicMessage {
    let pool = descriptors(channel, "underlay.v1.StatusService").await;
    let service = pool.get_service_by_name("underlay.v1.StatusService").expect("the service");
    let method = service.methods().find(|known| known.name() == method).expect("the method");
    let mut request = DynamicMessage::new(method.input());
    for (name, value) in fields {
        request.set_field_by_name(name, value.clone());
    }
    let path = format!("/underlay.v1.StatusService/{}", method.name()).parse().expect("a path");
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let answer = client.unary(tonic::Request::new(request), path, Dynamic { answer: method.output() }).await;
    answer.expect("an answer").into_inner()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field).expect("a field of the message");
    value.as_str().expect("a string").to_owned()
}

#[tokio::test]
async fn client_without_proto_files_lists_services() {
    let agent = Agent::start(fixture::snapshot("worker-1", vec![]), vec![]);
    let answer = reflect(&agent.channel().await, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("no list of services") };
    let mut names: Vec<String> = services.service.into_iter().map(|service| service.name).collect();
    names.sort();
    for expected in
        ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "underlay.v1.StatusService"]
    {
        assert!(names.iter().any(|name| name == expected), "{expected} is missing in {names:?}");
    }
}

#[tokio::test]
async fn client_without_proto_files_reads_peers_and_explanations() {
    let agent = Agent::start(fixture::three_nodes().remove(0), vec![fixture::installed_story()]);
    let channel = agent.channel().await;

    let peers = call(&channel, "ListPeers", &[]).await;
    assert_eq!(text(&peers, "node"), "worker-1");
    let listed = peers.get_field_by_name("peers").expect("a field of the message");
    let [Value::Message(peer)] = listed.as_list().expect("a list") else { panic!("one peer") };
    assert_eq!((text(peer, "name"), text(peer, "address")), ("tor1".to_owned(), "10.0.2.1".to_owned()));
    assert_eq!(peer.get_field_by_name("asn").expect("a field").as_u32(), Some(65_000));

    let prefix = Value::String("10.244.4.0/24".to_owned());
    let story = call(&channel, "Explain", &[("prefix", prefix)]).await;
    assert_eq!(text(&story, "summary"), "10.244.4.0/24 on worker-1 is installed: via 10.0.2.1, 10.0.3.1");

    let status = call(&channel, "GetStatus", &[]).await;
    let status = status.get_field_by_name("status").expect("a field of the message");
    assert_eq!(text(status.as_message().expect("a message"), "node"), "worker-1");
}

/// What reflection shows is described: `grpcurl describe` prints the comments.
#[tokio::test]
async fn descriptors_carry_their_comments() {
    let agent = Agent::start(fixture::snapshot("worker-1", vec![]), vec![]);
    let pool = descriptors(&agent.channel().await, "underlay.v1.StatusService").await;
    let files = pool.file_descriptor_protos().filter(|file| file.package() == "underlay.v1");
    let commented = files.filter(|file| {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        locations.filter(|location| !location.leading_comments().trim().is_empty()).count() > 3
    });
    assert_eq!(commented.count(), 6);
}

#[tokio::test]
async fn client_without_proto_files_reads_errors() {
    let agent = Agent::start(fixture::snapshot("worker-1", vec![]), vec![]);
    let pool = descriptors(&agent.channel().await, "google.rpc.ErrorInfo").await;
    let info = pool.get_message_by_name("google.rpc.ErrorInfo").expect("the message of every error");
    assert!(info.get_field_by_name("reason").is_some());
}
