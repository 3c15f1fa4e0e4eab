# Users: made, renamed, locked out and let in, with a password of their own.
$ openstack user create --domain default --password first --email ann@example.com --description "New here" ann -f value -c name -c email
ann@example.com
ann
$ openstack user show ann -f value -c id > ann
$ openstack user list --sort-column Name -f value -c Name
admin
ann
! openstack user create --password other ann
*uplicate entry*
$ OS_USERNAME=ann OS_PASSWORD=first OS_PROJECT_NAME= openstack token issue -f value -c user_id
{ann}
$ OS_USERNAME=ann OS_PASSWORD=first OS_PROJECT_NAME= openstack user password set --original-password first --password second
! OS_USERNAME=ann OS_PASSWORD=first OS_PROJECT_NAME= openstack token issue
*requires authentication*
$ OS_USERNAME=ann OS_PASSWORD=second OS_PROJECT_NAME= openstack token issue -f value -c user_id
{ann}
$ openstack user set --name anna --email anna@example.com --disable {ann}
$ openstack user show anna -f value -c enabled -c email
anna@example.com
False
! OS_USERNAME=anna OS_PASSWORD=second OS_PROJECT_NAME= openstack token issue
*requires authentication*
$ openstack user set --enable --password third anna
$ OS_USERNAME=anna OS_PASSWORD=third OS_PROJECT_NAME= openstack token issue -f value -c user_id
{ann}
$ openstack project create home -f value -c id > home
$ openstack role add --user anna --project home reader
$ openstack user list --project home -f value -c Name
anna
$ openstack user delete anna
$ openstack project delete home
! openstack user show anna
No User found for anna
