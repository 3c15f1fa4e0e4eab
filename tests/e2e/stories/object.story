# Containers and objects with the stock client.
@ letter Dear cloud
@ back nothing yet
$ openstack container create photos drafts -f value -c container
photos
drafts
! openstack container create --storage-policy none-of-the-kind x
*400*
$ openstack container list -f value
drafts
photos
$ openstack container set --property color=blue photos
$ openstack container show photos -f value -c container -c object_count -c properties
photos
0
{'color': 'blue'}
$ openstack container unset --property color photos
$ openstack object create photos {letter} --name 2026/letter -f value -c object -c etag
2026/letter 8193b4f904a93045a4786a68e372ae71
$ openstack object list photos -f value
2026/letter
$ openstack object list photos --prefix 2026/ --long -f value -c Bytes -c Name
2026/letter 10
$ openstack object set --property by=olga photos 2026/letter
$ openstack object show photos 2026/letter -f value -c content-length -c properties
10
{'by': 'olga'}
$ openstack object unset --property by photos 2026/letter
$ openstack object save photos 2026/letter --file {back}
$ openstack object create drafts {back} --name again -f value -c etag
8193b4f904a93045a4786a68e372ae71
! openstack container delete photos
*409*
$ openstack object delete photos 2026/letter
! openstack object show photos 2026/letter
*404*
$ openstack container delete photos
$ openstack container delete --recursive drafts
$ openstack object store account set --property team=cloud
$ openstack object store account show -f value -c Containers -c properties
*
{'team': 'cloud'}
$ openstack object store account unset --property team
