# Trusts: one user lets another act for it, in one project, with some of its roles.
$ openstack user create --password sesame deputy -f value -c id > deputy
$ openstack trust create --project admin --role reader --expiration 2100-01-01T00:00:00 --impersonate admin deputy -f value -c is_impersonation
True
$ openstack trust list --trustor admin -f value -c ID > trust
$ openstack trust list --trustee deputy -f value -c ID
{trust}
$ openstack trust list --auth-user -f value -c ID
{trust}
$ openstack trust show {trust} -f value -c trustee_user_id
{deputy}
$ openstack trust show {trust} -f value -c roles
*reader*
# The deputy is its trustor now, with that role and no other, and can't hand it on.
$ OS_USERNAME=deputy OS_PASSWORD=sesame OS_PROJECT_NAME= OS_TRUST_ID={trust} openstack token issue -f value -c user_id > acting
$ openstack user show admin -f value -c id
{acting}
! OS_USERNAME=deputy OS_PASSWORD=sesame OS_PROJECT_NAME= OS_TRUST_ID={trust} openstack project create loot
403
! OS_USERNAME=deputy OS_PASSWORD=sesame OS_PROJECT_NAME= OS_TRUST_ID={trust} openstack trust create --project admin --role reader admin deputy
403
! openstack trust create --project admin --role reader nobody deputy
No User found for nobody
$ openstack trust delete {trust}
! openstack trust show {trust}
No Trust found for {trust}
! OS_USERNAME=deputy OS_PASSWORD=sesame OS_PROJECT_NAME= OS_TRUST_ID={trust} openstack token issue
401
$ openstack trust list -f value -c ID
$ openstack user delete deputy
