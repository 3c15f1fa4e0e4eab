# OAuth 1.0a: a consumer asks, a user authorizes, the consumer has a key for some of the user's roles.
$ openstack consumer create --description "A photo printer" -f value -c id > consumer
$ openstack consumer list -f value -c ID -c Description
{consumer} A photo printer
$ openstack consumer set --description "A better printer" {consumer}
$ openstack consumer show {consumer} -f value -c description
A better printer
$ openstack consumer delete {consumer}
! openstack consumer show {consumer}
*{consumer}*
# The secret is told once.
$ openstack consumer create -f value -c id -c secret > consumer secret
$ openstack project show admin -f value -c id > project
$ openstack role show reader -f value -c id > reader
$ openstack request token create --consumer-key {consumer} --consumer-secret {secret} --project {project} -f value -c id -c key -c secret > request request_key request_secret
$ openstack request token authorize --request-key {request} --role {reader} -f value -c oauth_verifier > verifier
! openstack access token create --consumer-key {consumer} --consumer-secret {secret} --request-key {request_key} --request-secret wrong --verifier {verifier}
401
$ openstack access token create --consumer-key {consumer} --consumer-secret {secret} --request-key {request_key} --request-secret {request_secret} --verifier {verifier} -f value -c id
*
$ openstack consumer delete {consumer}
