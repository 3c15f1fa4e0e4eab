# Federation: who vouches, by which protocol, what that means here, and which clouds believe us.
$ openstack domain create --description "People of the university" campus -f value -c id > campus
$ openstack identity provider create --remote-id https://idp.example.org --domain campus --description "University" university -f value -c id -c enabled
True
university
! openstack identity provider create --remote-id https://idp.example.org other
409
$ openstack identity provider set --disable --remote-id https://idp.example.net university
$ openstack identity provider show university -f value -c remote_ids -c enabled
False
['https://idp.example.net']
$ openstack identity provider list --id university -f value -c ID -c Enabled
university False
$ openstack identity provider set --enable university
@ rules [{"local": [{"user": {"name": "{0}"}, "group": {"id": "students"}}], "remote": [{"type": "OIDC-sub"}]}]
@ others [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-email"}]}]
$ openstack mapping create --rules {rules} people -f value -c id
people
$ openstack mapping set --rules {others} people
$ openstack mapping show people -f value -c rules
*OIDC-email*
$ openstack mapping list -f value -c ID
people
pileus
$ openstack federation protocol create --identity-provider university --mapping people openid -f value -c id -c mapping -c identity_provider
openid
university
people
$ openstack mapping create --rules {rules} students -f value -c id
students
$ openstack federation protocol set --identity-provider university --mapping students openid
$ openstack federation protocol show --identity-provider university openid -f value -c mapping
students
$ openstack federation protocol list --identity-provider university -f value -c id
openid
# Where a federated user may go; these two ask for whoever has the token.
$ openstack federation project list -f value -c Name
admin
$ openstack federation domain list --sort-column Name -f value -c Name
Default
$ openstack service provider create --auth-url https://cloud.example.com/v3/OS-FEDERATION/identity_providers/us/protocols/saml2/auth --service-provider-url https://cloud.example.com/Shibboleth.sso/SAML2/ECP --description "Next door" neighbour -f value -c id -c enabled
neighbour
True
$ openstack service provider set --disable neighbour
$ openstack service provider show neighbour -f value -c enabled
False
$ openstack service provider list -f value -c ID -c Enabled
neighbour False
$ openstack service provider delete neighbour
$ openstack federation protocol delete --identity-provider university openid
$ openstack mapping delete people students
$ openstack identity provider delete university
! openstack identity provider show university
*university*
$ openstack domain set --disable campus
$ openstack domain delete campus
