# Tokens: issued, used, revoked.
$ openstack token issue -f value -c id > token
$ OS_AUTH_TYPE=v3token OS_TOKEN={token} OS_USERNAME= OS_PASSWORD= OS_PROJECT_DOMAIN_ID=default openstack project show admin -f value -c name
admin
$ openstack token revoke {token}
! OS_AUTH_TYPE=v3token OS_TOKEN={token} OS_USERNAME= OS_PASSWORD= OS_PROJECT_DOMAIN_ID=default openstack project show admin
*
