# Credentials: what users keep with the cloud, and keys for clients of EC2.
$ openstack credential create --type cert admin "a certificate" -f value -c type -c blob
a certificate
cert
$ openstack credential list --type cert -f value -c ID > cert
$ openstack credential set --user admin --type cert --data "another" {cert}
$ openstack credential show {cert} -f value -c blob
another
$ openstack credential list --user admin --type cert -f value -c Type -c Data
cert another
$ openstack credential delete {cert}
! openstack credential show {cert}
*{cert}*
$ openstack ec2 credentials create -f value -c access > access
$ openstack ec2 credentials list -f value -c Access
{access}
$ openstack ec2 credentials show {access} -f value -c access
{access}
$ openstack ec2 credentials delete {access}
! openstack ec2 credentials show {access}
*{access}*
$ openstack ec2 credentials list -f value -c Access
